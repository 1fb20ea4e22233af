package objects

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raygo/raygo"
)

// behaviour 159: storage that fails now and then is tried again, the figures
// show it, and no byte changes.
func TestFailingStorage(t *testing.T) {
	disk := newFaulty(t)
	var writes, reads, creates atomic.Int64
	broken := errors.New("input/output error")
	disk.onCreate = func(string) error {
		if creates.Add(1)%2 == 1 {
			return broken
		}
		return nil
	}
	disk.onWrite = func([]byte, int64) error {
		if writes.Add(1)%7 == 0 {
			return broken
		}
		return nil
	}
	disk.onRead = func(b []byte) error {
		switch reads.Add(1) % 5 {
		case 0:
			return broken
		case 1:
			b[len(b)/2] ^= 1 // a flipped bit
		}
		return nil
	}
	s := runStore(t, Config{Limit: 2 * mib, storage: disk, FuseBytes: mib, Logger: slog.New(slog.DiscardHandler)})
	openJob(t, s, 1)
	const n = 16
	for i := range uint32(n) {
		put(t, s, object(1, i), content(i, 512*kib))
	}
	for i := range uint32(n) {
		if !bytes.Equal(readAll(t, s, object(1, i)), content(i, 512*kib)) {
			t.Errorf("object %d reads otherwise", i)
		}
		checkArena(t, s, 1, pinOne(t, s, object(1, i))[0], content(i, 512*kib))
		s.Unpin(object(1, i))
	}
	if u := s.Usage(); u.SpillErrors == 0 || u.RestoreErrors == 0 {
		t.Errorf("figures show no errors: %+v", u)
	}
	checkBooks(t, s)
	for i := range uint32(n) {
		s.Delete(object(1, i))
	}
	eventually(t, "files of failed writes removed too", func() bool { return s.Usage().SpillFiles == 0 })
}

// behaviour 159: storage that never works is an error that says why; bytes that
// were lost on disk are never shown.
func TestBrokenStorage(t *testing.T) {
	disk := newFaulty(t)
	var broken atomic.Bool
	disk.onWrite = func([]byte, int64) error {
		if broken.Load() {
			return errors.New("input/output error")
		}
		return nil
	}
	disk.onRead = func(b []byte) error {
		b[0] ^= 1
		return nil
	}
	s := runStore(t, Config{Limit: 2 * mib, PutWait: time.Second, storage: disk, Logger: slog.New(slog.DiscardHandler)})
	openJob(t, s, 1)
	put(t, s, object(1, 1), content(1, 2*mib))
	put(t, s, object(1, 2), content(2, mib))
	if _, err := s.Pin(t.Context(), []raygo.ObjectID{object(1, 1)}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("pin of a damaged object: %v", err)
	}
	if n, err := s.Read(t.Context(), object(1, 1), 0, make([]byte, 10)); !errors.Is(err, ErrCorrupt) || n != 0 {
		t.Errorf("read of a damaged object: %d bytes, %v", n, err)
	}
	checkBooks(t, s)
	broken.Store(true)
	put(t, s, object(1, 3), content(3, mib))
	err := s.PutBytes(t.Context(), object(1, 4), content(4, 2*mib))
	if !errors.Is(err, ErrStoreFull) || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("put with a broken disk: %v", err)
	}
	checkBooks(t, s)
	broken.Store(false)
	put(t, s, object(1, 4), content(4, 2*mib)) // it works again
}
