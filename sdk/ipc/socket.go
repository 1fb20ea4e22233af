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

// DefaultSocket is where a peer of this user listens unless it is told
// otherwise: $XDG_RUNTIME_DIR/raygo/peer.sock, else /tmp/raygo-<uid>/peer.sock.
func DefaultSocket() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "raygo", "peer.sock")
	}
	return filepath.Join("/tmp", "raygo-"+strconv.Itoa(os.Getuid()), "peer.sock")
}

// MaxSocketPath is the longest path, in bytes, that a socket may have.
const MaxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// CheckSocketPath says of a path that is too long what the system calls an
// invalid argument.
func CheckSocketPath(path string) error {
	if len(path) > MaxSocketPath {
		return fmt.Errorf("the path has %d bytes, a socket's may have %d", len(path), MaxSocketPath)
	}
	return nil
}

// CheckSocketDir verifies that nobody but this user can have put the socket at
// path there: its directory is a directory, is ours, and is closed to others. A
// directory that does not exist is fs.ErrNotExist.
func CheckSocketDir(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case ok && int(st.Uid) != os.Getuid():
		return fmt.Errorf("%s belongs to user %d, not to you (%d): %w", dir, st.Uid, os.Getuid(), fs.ErrPermission)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s is open to other users (mode %o, want 700): %w", dir, info.Mode().Perm(), fs.ErrPermission)
	}
	return nil
}

// MakeSocketDir makes the directory of path, closed to others, or verifies the
// one that is there.
func MakeSocketDir(path string) error {
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return CheckSocketDir(path)
}

// AppendFrames adds complete frames to what is to be sent and returns how many
// bytes wait. It copies b and waits when the limit is exceeded.
func (n *Conn) AppendFrames(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.limit > 0 && len(n.out) > n.limit && n.err == nil {
		n.wake()
		n.more.Wait()
	}
	if n.err != nil {
		return 0, n.err
	}
	n.out = append(n.out, b...)
	return len(n.out), nil
}
