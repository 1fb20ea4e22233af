package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	dirPrefix = "raygo-workers-"
	lockName  = ".lock"
)

// ownDir is a launcher's directory. Its lock tells others that it lives; what a
// killed launcher left is removed by the next one.
type ownDir struct {
	path string
	lock *os.File
}

func makeDir(parent string) (*ownDir, error) {
	sweep(parent)
	path, err := os.MkdirTemp(parent, dirPrefix)
	if err != nil {
		return nil, err
	}
	d := &ownDir{path: path}
	// The lock gets its name when it is locked, or a sweep could come between.
	early := filepath.Join(path, ".locking")
	if d.lock, err = os.OpenFile(early, os.O_CREATE|os.O_RDWR, 0o600); err == nil {
		if err = unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			err = os.Rename(early, filepath.Join(path, lockName))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), d.remove())
	}
	return d, nil
}

func (d *ownDir) remove() error {
	err := os.RemoveAll(d.path)
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}

// sweep removes directories of launchers that are gone. Those of other users and
// those in use stay.
func sweep(parent string) {
	dirs, err := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(dir) // what cannot be removed is tried again by the next launcher
		}
		_ = f.Close()
	}
}
