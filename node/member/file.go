package member

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// readSecret reads a file that nobody but its owner may read or write.
func readSecret(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if m := info.Mode(); !m.IsRegular() || m.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %v, others may read or change it: make it your own with chmod 600 %s", file, m, file)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, limit)
	}
	return b, nil
}

// damaged is the error of a file that has not what was written to it once.
func damaged(what, file, remedy string, err error) error {
	return fmt.Errorf("read %s: %s is damaged (%w); move it away and %s", what, file, err, remedy)
}

// createSecret writes a new file with mode 0600 and never replaces one: the
// error is fs.ErrExist then. Nobody sees it half written.
func createSecret(file string, b []byte) error {
	tmp, err := writeTemp(file, b)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// replaceSecret writes a file with mode 0600 in the place of an older one, if
// there is one; a crash leaves either.
func replaceSecret(file string, b []byte) error {
	tmp, err := writeTemp(file, b)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, file); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(filepath.Dir(file))
}

// writeTemp writes a file beside the one named, down to the disk.
func writeTemp(file string, b []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
