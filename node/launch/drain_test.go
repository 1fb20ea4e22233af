package launch

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
)

// Everything that was written before a drain is passed on when it returns,
// whether the reader or the drain read it.
func TestDrainPassesOnWhatWasWritten(t *testing.T) {
	r, w, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	var lines atomic.Int64
	o := newOutput(r, false, func(bool, []byte) { lines.Add(1) }, "", "", slog.New(slog.DiscardHandler))
	go o.run()
	for i := range 2000 {
		fmt.Fprintln(w, "a line")
		if i%2 == 1 {
			fmt.Fprintln(w, "another")
		}
		o.drain()
		if got, want := lines.Load(), int64(i+1+(i+1)/2); got != want {
			t.Fatalf("%d lines were passed on, %d were written", got, want)
		}
	}
	_ = w.Close()
	<-o.done
	o.drain() // of a stream that has ended
}

// A writer that never stops does not keep a drain from returning.
func TestDrainDoesNotFollowAWriter(t *testing.T) {
	r, w, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	o := newOutput(r, false, nil, "", "", slog.New(slog.DiscardHandler))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		b := make([]byte, 4<<10)
		for {
			select {
			case <-stop:
				_ = w.Close()
				return
			default:
				_, _ = w.Write(b)
			}
		}
	}()
	go o.run()
	for range 100 {
		o.drain()
	}
	close(stop)
	<-stopped
	<-o.done
}
