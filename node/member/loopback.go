package member

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// loopbackKey is the file of the key that a user's peers on one machine share.
const loopbackKey = "loopback.key"

// LoopbackAuthority is the authority that the peers of one user share on one
// machine. Its key is in dir, which only the user may enter, and is made by
// whichever process asks first: a key file appears whole or not at all and is
// never replaced, so processes that start at the same time agree.
func LoopbackAuthority(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a place for the key of this user's peers: %w", err)
	}
	file := filepath.Join(dir, loopbackKey)
	a, err := loadLoopback(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	if a, err = NewAuthority(); err != nil {
		return nil, err
	}
	if err = a.Save(file); errors.Is(err, fs.ErrExist) {
		return loadLoopback(file) // another process was first
	}
	return a, err
}

func loadLoopback(file string) (*Authority, error) {
	const what = "the key that this user's peers share"
	b, err := readSecret(file, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	a, err := parseAuthority(b)
	if err != nil {
		return nil, damaged(what, file, "start all peers of this user again: the first makes another", err)
	}
	return a, nil
}
