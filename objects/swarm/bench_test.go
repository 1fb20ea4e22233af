package swarm

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/raygo/raygo/objects"
)

// overTCP makes a peer reachable through a real socket on loopback.
func overTCP(b testing.TB, m *member) func(ctx context.Context) (Stream, error) {
	b.Helper()
	return overTCPFor(b, m)("reader")
}

// overTCPFor is the same for several others, who say their names first.
func overTCPFor(b testing.TB, m *member) func(name string) func(context.Context) (Stream, error) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				var name [8]byte
				if _, err := io.ReadFull(c, name[:]); err != nil {
					return
				}
				_ = m.Serve(context.Background(), pipe{c}, strings.TrimRight(string(name[:]), " "))
			}()
		}
	}()
	return func(name string) func(context.Context) (Stream, error) {
		return func(ctx context.Context) (Stream, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
			if err != nil {
				return nil, err
			}
			_, err = fmt.Fprintf(c, "%-8s", name)
			return pipe{c}, err
		}
	}
}

const benchSize = 64 << 20

// cpu is what this process has used, both ends of a transfer together: on a
// machine that others use too it says more than the time that passed.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// perGB reports the processor time of a gigabyte.
func perGB(b *testing.B, since time.Duration, size int) {
	b.ReportMetric((cpu(b)-since).Seconds()/(float64(b.N)*float64(size)/1e9), "cpu-s/GB")
}

// benchFetch fetches objects of the same size, one after the other.
func benchFetch(b *testing.B, size int, change func(*Config)) {
	w := newWorld(b)
	src := w.join("a", nil, 1<<30)
	dial := overTCP(b, src)
	dst := w.join("b", func(c *Config) {
		c.Dial = func(ctx context.Context, _ string) (Stream, error) { return dial(ctx) }
		c.Stall, c.GiveUp = 10*time.Second, 20*time.Second
		if change != nil {
			change(c)
		}
	}, 1<<30)
	want := src.put(object(1), content(1, size))
	if _, err := src.store.CID(b.Context(), want.Object); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(size))
	begin := cpu(b)
	defer func() { perGB(b, begin, size) }()
	for b.Loop() {
		if _, err := dst.Fetch(b.Context(), want); err != nil {
			b.Fatal(err)
		}
		dst.store.Delete(want.Object)
	}
}

func BenchmarkFetch64MiB(b *testing.B)  { benchFetch(b, benchSize, nil) }
func BenchmarkFetch1MiB(b *testing.B)   { benchFetch(b, 1<<20, nil) }
func BenchmarkFetch128KiB(b *testing.B) { benchFetch(b, 128<<10, nil) }

// BenchmarkBareCopy is the floor: the same bytes through the same kind of socket,
// neither compared with anything nor kept.
func BenchmarkBareCopy(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	data := content(1, benchSize)
	ask := make(chan struct{})
	defer close(ask)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for range ask {
			if _, err := c.Write(data); err != nil {
				return
			}
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.SetBytes(benchSize)
	begin := cpu(b)
	defer func() { perGB(b, begin, benchSize) }()
	for b.Loop() {
		ask <- struct{}{}
		if _, err := io.CopyN(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, benchSize); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHash is what comparing with digests alone takes, on all cores.
func BenchmarkHash(b *testing.B) {
	f, err := os.CreateTemp(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(content(1, benchSize)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(benchSize)
	for b.Loop() {
		if _, err := objects.ManifestOf(f, benchSize); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBroadcast sends one object to eight peers over real sockets.
func BenchmarkBroadcast(b *testing.B) {
	for _, size := range []int{64 << 20, 256 << 20, 1 << 30} {
		b.Run(fmt.Sprintf("%dMiB", size>>20), func(b *testing.B) { benchBroadcast(b, size, 8) })
	}
}

func benchBroadcast(b *testing.B, size, receivers int) {
	w := newWorld(b)
	w.bare = true
	patient := func(c *Config) { c.Stall, c.GiveUp = 20*time.Second, 30*time.Second }
	source := w.join("source", patient, int64(size)+1<<20)
	want := source.put(object(1), content(1, size))
	dials := map[string]func(string) func(context.Context) (Stream, error){"source": overTCPFor(b, source)}
	var all []*member
	for k := range receivers {
		name := fmt.Sprintf("r%d", k)
		m := w.join(name, func(c *Config) {
			patient(c)
			c.Dial = func(ctx context.Context, to string) (Stream, error) { return dials[to](name)(ctx) }
		}, int64(size)+1<<20)
		dials[name] = overTCPFor(b, m)
		all = append(all, m)
	}
	begin := cpu(b)
	b.SetBytes(int64(size * receivers))
	for b.Loop() {
		var wg sync.WaitGroup
		for _, m := range all {
			wg.Go(func() {
				if _, err := m.Fetch(b.Context(), want); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		for _, m := range all {
			m.store.Delete(want.Object)
		}
	}
	perGB(b, begin, size*receivers)
	b.ReportMetric(float64(source.Stats().Totals.BytesOut)/float64(b.N*size), "copies-sent")
	var elsewhere, wasted float64
	for _, m := range append(all, source) {
		st := m.Stats().Totals
		elsewhere += float64(st.Elsewhere)
		wasted += float64(st.Wasted)
	}
	b.ReportMetric(elsewhere/float64(b.N*receivers*blocksOf(uint64(size))), "elsewhere/block")
	b.ReportMetric(wasted/float64(b.N*receivers*size), "wasted")
}
