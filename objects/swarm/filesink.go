package swarm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"
	"github.com/raygo/raygo/objects"
)

type fileSink struct {
	dir  string
	cid  cid.Cid
	file *os.File
}

func (k *fileSink) path() string { return filepath.Join(k.dir, k.cid.String()) }

// here tells before the size is known.
func (k *fileSink) here() bool {
	st, err := os.Stat(k.path())
	return err == nil && st.Mode().IsRegular()
}

func (k *fileSink) Open(context.Context, uint64) error {
	if k.here() {
		return ErrPresent
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return fmt.Errorf("keep %s: %w", k.cid, err)
	}
	f, err := os.CreateTemp(k.dir, ".fetch-*")
	if err != nil {
		return fmt.Errorf("keep %s: %w", k.cid, err)
	}
	k.file = f
	return nil
}

func (k *fileSink) WriteAt(p []byte, off int64) (int, error) { return k.file.WriteAt(p, off) }

func (k *fileSink) ReadAt(p []byte, off int64) (int, error) { return k.file.ReadAt(p, off) }

// Commit makes the file executable and gives it its name. An empty file has one
// block of no bytes, which is not written.
func (k *fileSink) Commit(m objects.Manifest, _ int) error {
	err := errors.Join(k.file.Truncate(int64(m.Size)), k.file.Chmod(0o500))
	if err = errors.Join(err, k.file.Close()); err == nil {
		err = os.Rename(k.file.Name(), k.path())
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", k.cid, errors.Join(err, remove(k.file.Name())))
	}
	return nil
}

func (k *fileSink) Abort() {
	_ = k.file.Close()
	_ = remove(k.file.Name())
}

func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
