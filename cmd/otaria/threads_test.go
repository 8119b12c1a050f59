package main

import "testing"

func TestThreads(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		processors      int
		url, gomaxprocs string
		want            int
	}{
		{2, "", "", 4},
		{2, "postgres://db/otaria", "", 2},
		{3, "", "3", 3},
	} {
		if got := threads(test.processors, test.url, test.gomaxprocs); got != test.want {
			t.Errorf("%+v: %d", test, got)
		}
	}
}
