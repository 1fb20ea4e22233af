package objects

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/raygo/raygo"
)

// spillFiles are the sizes of the files under a spill directory.
func spillFiles(t testing.TB, dir string) (sizes []int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".lock" {
			return nil // a file that went meanwhile
		}
		if info, err := d.Info(); err == nil {
			sizes = append(sizes, info.Size())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sizes
}

// behaviour 149: 800 MB put in a 75 MB store, at a tenth of that; everything is
// read back with the right hash, from disk and by pinning.
func TestManyTimesTheStore(t *testing.T) {
	s := runStore(t, Config{Limit: 7500 * kib, SpillDir: t.TempDir(), FuseBytes: 4 * mib})
	openJob(t, s, 1)
	const n, size = 80, 1000 * kib
	for i := range uint32(n) {
		put(t, s, object(1, i), content(i, size))
	}
	for i := range uint32(n) {
		want := content(i, size)
		if !bytes.Equal(readAll(t, s, object(1, i)), want) {
			t.Fatalf("object %d reads otherwise than it was put", i)
		}
		checkArena(t, s, 1, pinOne(t, s, object(1, i))[0], want)
		if c, err := s.CID(t.Context(), object(1, i)); err != nil || c != SumBytes(want) {
			t.Fatalf("CID of object %d: %s, %v", i, c, err)
		}
		s.Unpin(object(1, i))
	}
	if u := s.Usage(); u.SpilledEver < (n-8)*size || u.SpilledEver > n*size || u.Used > u.Limit {
		t.Errorf("usage %+v", u)
	}
	checkBooks(t, s)
}

// behaviour 150: what is in use is not moved under its reader.
func TestPinnedStaysInMemory(t *testing.T) {
	s := runStore(t, Config{Limit: 8 * mib, SpillDir: t.TempDir()})
	openJob(t, s, 1)
	put(t, s, object(1, 0), content(0, 2*mib))
	e := pinOne(t, s, object(1, 0))[0]
	for i := uint32(1); i < 20; i++ {
		put(t, s, object(1, i), content(i, 2*mib))
		checkArena(t, s, 1, e, content(0, 2*mib))
	}
	if info, _ := s.Info(object(1, 0)); info.State != InMemory || info.OnDisk {
		t.Errorf("pinned object: %+v", info)
	}
}

// behaviour 151: a spilled object is restored for who maps it and streamed to
// who reads it.
func TestRestoreAndStream(t *testing.T) {
	s := runStore(t, Config{Limit: 4 * mib, SpillDir: t.TempDir()})
	openJob(t, s, 1)
	b := content(1, 3*mib+100)
	put(t, s, object(1, 1), b)
	put(t, s, object(1, 2), content(2, 3*mib))
	if info, _ := s.Info(object(1, 1)); info.State != Spilled || !info.OnDisk || info.CID != SumBytes(b).String() {
		t.Fatalf("after a second put: %+v", info)
	}
	var got []byte
	p := make([]byte, 700*kib+1) // crosses blocks
	for {
		n, err := s.Read(t.Context(), object(1, 1), int64(len(got)), p)
		got = append(got, p[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if info, _ := s.Info(object(1, 1)); !bytes.Equal(got, b) || info.State != Spilled {
		t.Errorf("read %d bytes, then %+v", len(got), info)
	}
	if _, ok := s.TryPin([]raygo.ObjectID{object(1, 1)}); ok {
		t.Error("TryPin of a spilled object worked")
	}
	checkArena(t, s, 1, pinOne(t, s, object(1, 1))[0], b)
	if _, err := s.Pin(t.Context(), []raygo.ObjectID{object(1, 1), object(1, 2)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("pin of 6 MiB in 4: %v", err)
	}
	s.Unpin(object(1, 1))
	pinOne(t, s, object(1, 2))
	if u := s.Usage(); u.Restored == 0 || u.SpilledEver != int64(len(b))+3*mib {
		t.Errorf("an object that is on disk was written again: %+v", u)
	}
	checkBooks(t, s)
}

// behaviour 152: small objects are fused into large files.
func TestSmallObjectsAreFused(t *testing.T) {
	dir := t.TempDir()
	s := runStore(t, Config{Limit: 2 * mib, SpillDir: dir, FuseBytes: 4 * mib})
	openJob(t, s, 1)
	for i := range uint32(200) {
		put(t, s, object(1, i), content(i, 128*kib))
	}
	files, small := spillFiles(t, dir), 0
	for _, size := range files {
		if size < 4*mib {
			small++
		}
	}
	if len(files) == 0 || len(files) > 7 || small > 1 {
		t.Errorf("25 MB of small objects are in files of %v", files)
	}
}

// behaviour 153: spill files go with their objects, their job, their store, and
// those of a killed process with the next start; other processes' stay.
func TestSpillFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, spillPrefix+"of-the-dead")
	if err := errors.Join(os.Mkdir(stale, 0o700), os.WriteFile(filepath.Join(stale, "x"), []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Limit: 2 * mib, SpillDir: dir, FuseBytes: 2 * mib})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(spillFiles(t, dir)); n != 0 {
		t.Errorf("%d files of a dead process are left", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	for job := 1; job <= 3; job++ {
		openJob(t, s, job)
		for i := range uint32(10) {
			put(t, s, object(job, i), content(i, mib))
		}
	}
	other := runStore(t, Config{Limit: 2 * mib, SpillDir: dir})
	before := len(spillFiles(t, dir))
	for i := range uint32(10) {
		s.Delete(object(1, i))
	}
	eventually(t, "files of deleted objects removed", func() bool { return len(spillFiles(t, dir)) < before })
	before = len(spillFiles(t, dir))
	s.CloseJob(jobID(2))
	eventually(t, "files of the closed job removed", func() bool { return len(spillFiles(t, dir)) < before })
	eventually(t, "files counted", func() bool { return s.Usage().SpillFiles == len(spillFiles(t, dir)) })
	if !bytes.Equal(readAll(t, s, object(3, 0)), content(0, mib)) {
		t.Error("the third job's object changed")
	}
	checkBooks(t, s)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if n := len(spillFiles(t, dir)); n != 0 {
		t.Errorf("%d spill files are left at the end", n)
	}
	openJob(t, other, 1)
	for i := range uint32(4) {
		put(t, other, object(1, i), content(i, mib))
	}
	third := runStore(t, Config{SpillDir: dir})
	_ = third.Usage()
	if !bytes.Equal(readAll(t, other, object(1, 0)), content(0, mib)) {
		t.Error("another store with the same directory took the files")
	}
}

// behaviour 155: a full disk is an error in bounded time.
func TestOutOfDisk(t *testing.T) {
	disk := newFaulty(t)
	disk.share = func() float64 { return 0.96 }
	s := runStore(t, Config{Limit: 2 * mib, PutWait: 100 * time.Millisecond, storage: disk})
	openJob(t, s, 1)
	put(t, s, object(1, 1), content(1, 2*mib))
	start := time.Now()
	err := s.PutBytes(t.Context(), object(1, 2), content(2, mib))
	if !errors.Is(err, ErrOutOfDisk) || time.Since(start) > 5*time.Second {
		t.Errorf("put with a full disk: %v after %v", err, time.Since(start))
	}
	if !bytes.Equal(readAll(t, s, object(1, 1)), content(1, 2*mib)) {
		t.Error("the first object changed")
	}
	checkBooks(t, s)
}

// behaviour 158: an object is there while it is being spilled.
func TestGetWhileSpilling(t *testing.T) {
	disk := newFaulty(t)
	writing, goOn := make(chan struct{}, 100), make(chan struct{})
	disk.onWrite = func([]byte, int64) error {
		writing <- struct{}{}
		<-goOn
		return nil
	}
	s := runStore(t, Config{Limit: 2 * mib, IOWorkers: 1, storage: disk})
	openJob(t, s, 1)
	put(t, s, object(1, 1), content(1, mib))
	put(t, s, object(1, 2), content(2, mib))
	done := make(chan error, 1)
	go func() { done <- s.PutBytes(context.Background(), object(1, 3), content(3, mib)) }()
	<-writing
	e, ok := s.TryPin([]raygo.ObjectID{object(1, 1)})
	if !ok {
		t.Fatal("an object that is being spilled cannot be pinned")
	}
	if !bytes.Equal(readAll(t, s, object(1, 1)), content(1, mib)) {
		t.Error("read otherwise while being spilled")
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	checkArena(t, s, 1, e[0], content(1, mib))
	if info, _ := s.Info(object(1, 1)); info.State != InMemory {
		t.Errorf("pinned while being spilled: %+v", info)
	}
	s.Unpin(object(1, 1))
	checkBooks(t, s)
}
