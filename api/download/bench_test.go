package download_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/otaria/otaria/api/download"
)

// BenchmarkServe downloads 64 MB over loopback. With sendfile the CPU of the
// process (cpu-ms/op, which includes the reading client's) is far below that of
// a ResponseWriter that hides io.ReaderFrom, as careless middleware does.
func BenchmarkServe(b *testing.B) {
	const size = 64 << 20
	f := fileOf(b, "fw.bin", make([]byte, size))
	for name, wrap := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"sendfile": func(w http.ResponseWriter) http.ResponseWriter { return w },
		"copying":  func(w http.ResponseWriter) http.ResponseWriter { return struct{ http.ResponseWriter }{w} },
	} {
		b.Run(name, func(b *testing.B) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := download.Serve(wrap(w), r, f, download.Options{Progress: func(int64) {}}); err != nil {
					b.Error(err)
				}
			}))
			defer s.Close()
			b.SetBytes(size)
			before := cpu(b)
			for b.Loop() {
				fetch(b, s, size)
			}
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// fetch reads a whole answer, and lets the kernel drop the bytes as it can.
func fetch(b *testing.B, s *httptest.Server, size int64) {
	b.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		b.Fatal(err)
	}
	buffer := make([]byte, 1<<20)
	var n int64
	for {
		m, err := c.Read(buffer)
		n += int64(m)
		if err != nil {
			break
		}
	}
	if n < size {
		b.Fatalf("read %d bytes", n)
	}
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
