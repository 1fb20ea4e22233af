package objects

import (
	"context"
	"testing"
	"time"
)

// Who waits for room goes before who comes later, and no more is ever promised
// than can be had.
func TestNobodyTakesPromisedRoom(t *testing.T) {
	disk := newFaulty(t)
	writing, goOn := make(chan struct{}, 100), make(chan struct{})
	disk.onWrite = func([]byte, int64) error {
		writing <- struct{}{}
		<-goOn
		return nil
	}
	s := runStore(t, Config{Limit: 4 * mib, IOWorkers: 1, PutWait: 20 * time.Second, storage: disk})
	openJob(t, s, 1)
	for i := range uint32(4) { // written and sealed ones by turns
		if _, ok := s.TryAlloc(object(1, i), mib); !ok {
			t.Fatal("no room")
		}
	}
	for i := range uint32(2) {
		if err := s.Seal(object(1, 2*i+1)); err != nil {
			t.Fatal(err)
		}
	}
	waiting := make(chan error, 2)
	alloc := func(n uint32) {
		_, err := s.Alloc(context.Background(), object(1, n), 2*mib)
		waiting <- err
	}
	go alloc(10)
	<-writing             // its room is being made by the only worker
	s.Abort(object(1, 0)) // leaves room for one of 1 MiB, if it were not promised
	if _, ok := s.TryAlloc(object(1, 12), mib); ok {
		t.Error("a later call took promised room")
	}
	go alloc(11)
	eventually(t, "both wait", func() bool { return s.Usage().Waiting == 2 })
	checkBooks(t, s)
	s.Abort(object(1, 2))
	checkBooks(t, s)
	close(goOn)
	for range 2 {
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	}
	checkBooks(t, s)
}
