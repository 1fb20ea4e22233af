package link

import (
	"bufio"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// The floor of these benchmarks is a bare libp2p stream between the same hosts
// that echoes the same bytes.
const (
	echoProtocol protocol.ID = "/test/echo/1"
	sinkProtocol protocol.ID = "/test/sink/1"
	requestSize              = 200
)

// bare opens a stream of the floor.
func bare(b *testing.B, from, to *node, proto protocol.ID) network.Stream {
	b.Helper()
	to.host.SetStreamHandler(echoProtocol, func(s network.Stream) { _, _ = io.Copy(s, s) })
	to.host.SetStreamHandler(sinkProtocol, func(s network.Stream) {
		r := bufio.NewReaderSize(s, maxBuffer)
		buf := make([]byte, 4+requestSize)
		for {
			if _, err := io.ReadFull(r, buf); err != nil {
				return
			}
			if buf[0] == 1 {
				_, _ = s.Write(buf[:1])
			}
		}
	})
	s, err := from.host.NewStream(context.Background(), to.host.ID(), proto)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Reset() })
	return s
}

// BenchmarkRoundTrip is one request of 200 bytes at a time, and its answer.
func BenchmarkRoundTrip(b *testing.B) {
	x, y := pair(b, nil)
	request := make([]byte, requestSize)
	b.Run("bare", func(b *testing.B) {
		s := bare(b, x, y, echoProtocol)
		answer := make([]byte, requestSize)
		for b.Loop() {
			if _, err := s.Write(request); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(s, answer); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("link", func(b *testing.B) {
		answers := make(chan struct{}, 1)
		x.onFrame = func(string, Class, [][]byte) { answers <- struct{}{} }
		y.onFrame = func(p string, c Class, frames [][]byte) {
			for _, f := range frames {
				_ = y.mesh.Send(p, c, f)
			}
			y.mesh.Flush(p)
		}
		for b.Loop() {
			if err := x.mesh.Send(y.name, Task, request); err != nil {
				b.Fatal(err)
			}
			x.mesh.Flush(y.name)
			<-answers
		}
	})
}

// BenchmarkFrames is a stream of 200-byte frames in bursts of 64, one way.
func BenchmarkFrames(b *testing.B) {
	x, y := pair(b, func(c *Config) { c.MaxQueue[Task] = 1 << 20 }) // a sender that is ahead waits
	request := make([]byte, requestSize)
	last := append([]byte{1}, request[1:]...)
	b.Run("bare", func(b *testing.B) {
		s := bare(b, x, y, sinkProtocol)
		w := bufio.NewWriterSize(s, maxBuffer)
		frame := make([]byte, 4+requestSize)
		n := 0
		for b.Loop() {
			_, _ = w.Write(frame)
			if n++; n%64 == 0 {
				_ = w.Flush()
			}
		}
		frame[0] = 1
		_, _ = w.Write(frame)
		_ = w.Flush()
		if _, err := io.ReadFull(s, frame[:1]); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "frames/s")
	})
	b.Run("link", func(b *testing.B) {
		done := make(chan struct{}, 1)
		y.onFrame = func(_ string, _ Class, frames [][]byte) {
			if frames[len(frames)-1][0] == 1 {
				done <- struct{}{}
			}
		}
		n := 0
		for b.Loop() {
			for err := x.mesh.Send(y.name, Task, request); err != nil; err = x.mesh.Send(y.name, Task, request) {
				if errors.Is(err, ErrDown) {
					b.Fatal(err)
				}
				x.mesh.Flush(y.name)
				time.Sleep(50 * time.Microsecond)
			}
			if n++; n%64 == 0 {
				x.mesh.Flush(y.name)
			}
		}
		until(b, "the last is sent", func() bool { return x.mesh.Send(y.name, Task, last) == nil })
		x.mesh.Flush(y.name)
		<-done
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "frames/s")
	})
}
