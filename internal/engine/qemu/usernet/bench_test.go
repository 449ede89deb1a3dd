package usernet

import (
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/cistern-cloud/cistern/internal/engine/qemu/vnet"
)

// BenchmarkDownload is a guest's download from the world through two stacks and
// a pair of sockets, as QEMU would do it with an infinitely fast guest.
func BenchmarkDownload(b *testing.B) {
	c := newCloud(b)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for block := make([]byte, 64<<10); err == nil; {
					_, err = conn.Write(block)
				}
			}()
		}
	}()
	c.world["tcp 203.0.113.5:80"] = listener.Addr().String()
	g, _ := c.boot(7)
	conn, err := g.dial("203.0.113.5:80")
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	block := make([]byte, 1<<20)
	b.SetBytes(int64(len(block)))
	for b.Loop() {
		if _, err := io.ReadFull(conn, block); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPrivate is what goes from one guest to another by their VPC.
func BenchmarkPrivate(b *testing.B) {
	c := newCloud(b)
	from, _ := c.boot(7)
	to, _ := c.boot(8)
	to.serve(80, "b")
	conn, err := from.dial("10.10.0.8:80")
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	block := make([]byte, 1<<20)
	go func() {
		for {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	}()
	b.SetBytes(int64(len(block)))
	for b.Loop() {
		if _, err := io.ReadFull(conn, block); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMachine is what a plugged machine takes while nothing happens.
func BenchmarkMachine(b *testing.B) {
	c := newCloud(b)
	dirs := make([]vnet.Machine, 50)
	for i := range dirs {
		dirs[i] = describeMachine(b.TempDir(), byte(i+2))
		dirs[i].ID = string(rune('A' + i))
	}
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		goroutines := runtime.NumGoroutine()
		for _, m := range dirs {
			c.plug(m)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		used := after.HeapAlloc + after.StackInuse - before.HeapAlloc - before.StackInuse
		b.ReportMetric(float64(used)/float64(len(dirs))/1024, "KiB/machine")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/float64(len(dirs)), "goroutines/machine")
		for _, m := range dirs {
			if err := c.Unplug(b.Context(), m.ID); err != nil {
				b.Fatal(err)
			}
		}
	}
}
