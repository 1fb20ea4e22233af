package ipc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// DefaultSocket is where this user's peer listens and where programs look for
// it: $XDG_RUNTIME_DIR/raygo/peer.sock, else /tmp/raygo-UID/peer.sock. It makes
// the directory when it is missing, and refuses one that somebody else could
// have laid there.
func DefaultSocket() (string, error) {
	dir := filepath.Join("/tmp", "raygo-"+strconv.Itoa(os.Getuid()))
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" {
		dir = filepath.Join(run, "raygo")
	}
	if err := ownDirectory(dir); err != nil {
		return "", fmt.Errorf("the default socket's directory: %w", err)
	}
	return filepath.Join(dir, "peer.sock"), nil
}

// ownDirectory makes sure that dir is a directory of this user's that nobody
// else can enter.
func ownDirectory(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case ok && int(owner.Uid) != os.Getuid():
		return fmt.Errorf("%s belongs to user %d, not to us (%d)", dir, owner.Uid, os.Getuid())
	case info.Mode().Perm()&0o077 != 0:
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("%s is open to others: %w", dir, err)
		}
	}
	return nil
}
