package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rights that Landlock takes away under hidden directories: reading and changing
// files, and moving them out. Listing a directory stays allowed, or the parents
// of hidden directories could not be listed either.
const (
	fileRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	dirRights  = unix.LANDLOCK_ACCESS_FS_REFER // since version 2; below it moving is never allowed
)

// landlockABI asks the kernel for its version of Landlock.
func landlockABI() (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, fmt.Errorf("landlock: %w", errno)
	}
	return int(n), nil
}

// landlock restricts the calling thread: no signals to processes outside of the
// domain, no access to files under hide. It does nothing where the kernel knows
// neither.
func landlock(abi int, hide []string) error {
	attr := unix.LandlockRulesetAttr{}
	size := unsafe.Sizeof(attr.Handled_access_fs)
	if abi >= scopeABI {
		attr.Scoped = unix.LANDLOCK_SCOPE_SIGNAL
		size = unsafe.Offsetof(attr.Scoped) + unsafe.Sizeof(attr.Scoped)
	}
	if len(hide) > 0 {
		attr.Handled_access_fs = fileRights
		if abi >= 2 {
			attr.Handled_access_fs |= dirRights
		}
	}
	if attr.Handled_access_fs == 0 && attr.Scoped == 0 {
		return nil
	}
	n, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return fmt.Errorf("landlock: make rules: %w", errno)
	}
	rules := int(n)
	defer unix.Close(rules)
	if len(hide) > 0 {
		for _, path := range allowed("/", cleaned(hide)) {
			if err := allow(rules, path, attr.Handled_access_fs); err != nil {
				return err
			}
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(rules), 0, 0); errno != 0 {
		return fmt.Errorf("landlock: restrict: %w", errno)
	}
	return nil
}

// cleaned makes the paths absolute and free of links, so that they compare.
func cleaned(dirs []string) []string {
	var out []string
	for _, d := range dirs {
		if real, err := filepath.EvalSymlinks(d); err == nil {
			d = real
		}
		if abs, err := filepath.Abs(d); err == nil {
			d = abs
		}
		out = append(out, d)
	}
	return out
}

// allowed lists what to allow so that everything under dir is, except hide: the
// siblings along the way to each of them.
func allowed(dir string, hide []string) []string {
	if slices.Contains(hide, dir) {
		return nil
	}
	prefix := strings.TrimSuffix(dir, "/") + "/"
	if !slices.ContainsFunc(hide, func(h string) bool { return strings.HasPrefix(h, prefix) }) {
		return []string{dir}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, allowed(prefix+e.Name(), hide)...)
	}
	return out
}

// allow adds a rule for path. Paths that vanished or cannot be opened need none.
func allow(rules int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("landlock: %s: %w", path, err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return nil // a link is checked as what it points to
	case unix.S_IFDIR:
	default:
		rights &= fileRights
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("landlock: allow %s: %w", path, errno)
	}
	return nil
}
