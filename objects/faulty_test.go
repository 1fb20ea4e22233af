package objects

import (
	"testing"
)

// faulty is real storage in which tests make things go wrong. Its hooks may be
// nil; they are called from several goroutines.
type faulty struct {
	storage
	onCreate func(name string) error
	onWrite  func(b []byte, off int64) error
	onRead   func(b []byte) error // after the read: may change what was read
	share    func() float64
}

func newFaulty(t testing.TB) *faulty {
	t.Helper()
	d, err := openSpillDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &faulty{storage: d}
}

func (f *faulty) create(name string) (medium, error) {
	if f.onCreate != nil {
		if err := f.onCreate(name); err != nil {
			return nil, err
		}
	}
	m, err := f.storage.create(name)
	return faultyFile{m, f}, err
}

func (f *faulty) used() (float64, error) {
	if f.share != nil {
		return f.share(), nil
	}
	return 0.1, nil
}

type faultyFile struct {
	medium
	f *faulty
}

func (m faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if m.f.onWrite != nil {
		if err := m.f.onWrite(b, off); err != nil {
			n, _ := m.medium.WriteAt(b[:len(b)/2], off) // as a full disk does
			return n, err
		}
	}
	return m.medium.WriteAt(b, off)
}

func (m faultyFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := m.medium.ReadAt(b, off)
	if m.f.onRead != nil {
		if e := m.f.onRead(b[:n]); e != nil {
			return 0, e
		}
	}
	return n, err
}
