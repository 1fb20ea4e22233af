package objects

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// storage is where spill files are.
type storage interface {
	// create makes an empty file.
	create(name string) (medium, error)
	remove(name string) error
	// used is the share of the disk that is in use.
	used() (float64, error)
	// close removes all that is left.
	close() error
}

// medium is one spill file, written at several places at a time.
type medium interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// discard gives the room of a part back, where the file system can.
	discard(off, n int64)
}

// spillPrefix begins the names of the directories of processes in SpillDir.
const spillPrefix = "raygo-spill-"

// spillDir is a process's own directory under SpillDir. It is locked (flock)
// for as long as the process lives, so that another one can tell whether what
// it finds there is garbage.
type spillDir struct {
	path string
	lock *os.File
}

// openSpillDir makes a directory and removes those of processes that are gone.
// Making, locking and cleaning are done under a lock of all processes with the
// same parent.
func openSpillDir(parent string) (d *spillDir, err error) {
	all, err := os.Open(parent)
	if err != nil {
		return nil, fmt.Errorf("lock spill directory: %w", err)
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	if err := flock(all, unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock spill directory %s: %w", parent, err)
	}
	if err := removeStale(parent); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(parent, spillPrefix)
	if err != nil {
		return nil, fmt.Errorf("make spill directory: %w", err)
	}
	lock, err := lockDir(path)
	if err != nil {
		return nil, fmt.Errorf("lock spill directory %s: %w", path, err)
	}
	return &spillDir{path: path, lock: lock}, nil
}

// removeStale removes the directories that nobody holds a lock of.
func removeStale(parent string) error {
	found, err := os.ReadDir(parent)
	if err != nil {
		return fmt.Errorf("look for old spill files: %w", err)
	}
	for _, f := range found {
		if !f.IsDir() || !strings.HasPrefix(f.Name(), spillPrefix) {
			continue
		}
		path := filepath.Join(parent, f.Name())
		lock, err := lockDir(path)
		if err != nil {
			continue // in use, or somebody else's
		}
		err = errors.Join(os.RemoveAll(path), lock.Close())
		if err != nil {
			return fmt.Errorf("remove old spill files: %w", err)
		}
	}
	return nil
}

func lockDir(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}

func (d *spillDir) create(name string) (medium, error) {
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (d *spillDir) remove(name string) error { return os.Remove(filepath.Join(d.path, name)) }

func (d *spillDir) used() (float64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(d.path, &st); err != nil {
		return 0, fmt.Errorf("size of the spill disk: %w", err)
	}
	used := st.Blocks - st.Bfree
	if used+st.Bavail == 0 {
		return 0, nil // a file system without a size
	}
	return float64(used) / float64(used+st.Bavail), nil
}

func (d *spillDir) close() error {
	err := os.RemoveAll(d.path)
	if errors.Is(err, unix.ENOTDIR) {
		err = nil // a parent was replaced by a file: nothing of ours is left
	}
	return errors.Join(err, d.lock.Close())
}

type diskFile struct{ *os.File }

func (f diskFile) discard(off, n int64) {
	// Only a saving: the room comes back with the file at the latest, and the
	// file may have been closed meanwhile.
	_ = punch(f.File, Extent{uint64(off), uint64(n)})
}
