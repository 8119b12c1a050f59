package simulator_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/otaria/otaria/simulator"
)

func TestReadHead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       string
	}{
		{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 5 false"},
		{"no reason, any case", "HTTP/1.1 404\r\ncontent-length:0\r\nX: y\r\n\r\n", "404 0 false"},
		{"closes", "HTTP/1.1 401 Unauthorized\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", "401 0 true"},
		{"closes among others", "HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 1\r\n\r\nx", "200 1 true"},
		{"old", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "bad answer: not HTTP/1.1"},
		{"no body by status", "HTTP/1.1 304 Not Modified\r\n\r\n", "304 0 false"},
		{"informational first", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 0 false"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "bad answer: chunked: play without fast"},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", "bad answer: no Content-Length"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "bad answer: Content-Length"},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "bad answer: Content-Length"},
		{"other protocol", "SSH-2.0-OpenSSH\r\n\r\n", "bad answer: not HTTP/1.1"},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", "bad answer: status"},
		{"long line", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 10000) + "\r\n\r\n", "bad answer: line too long"},
		{"many fields", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 200) + "\r\n", "bad answer: too many header fields"},
		{"control character", "HTTP/1.1 204 No Content\r\nX: \x10\r\n\r\n", "bad answer: header field"},
		{"breaks off", "HTTP/1.1 200 OK\r\nContent-Le", "read the answer: unexpected EOF"},
		{"nothing", "", "read the answer: EOF"},
	}
	for _, test := range tests {
		status, length, closes, err := simulator.ReadHead(bufio.NewReader(strings.NewReader(test.text)))
		got := fmt.Sprintf("%d %d %t", status, length, closes)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// Whatever we accept, net/http reads alike.
func FuzzReadHead(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 304\r\nEtag: \"x\"\r\nConnection: close\r\n\r\n",
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nContent-Length:\t1 \r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		status, length, closes, err := simulator.ReadHead(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return
		}
		r := bufio.NewReader(bytes.NewReader(text))
		for {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("we read %d with %d bytes, net/http: %v", status, length, err)
			}
			if res.StatusCode < 200 {
				continue
			}
			want := max(res.ContentLength, 0)
			if res.StatusCode == 204 || res.StatusCode == 304 {
				want = 0
			}
			if status != res.StatusCode || length != want || closes != res.Close {
				t.Errorf("we read %d, %d, %t; net/http %d, %d, %t", status, length, closes, res.StatusCode, res.ContentLength, res.Close)
			}
			return
		}
	})
}
