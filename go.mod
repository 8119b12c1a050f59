module github.com/otaria/otaria

go 1.26
