package launch

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// confine puts on the calling thread what its children shall inherit. The
// calling goroutine is locked to the thread for good. What cannot be put on is
// in the error; the rest holds.
func confine(cfg *Config, r Report) error {
	var errs []error
	if r.Hides && len(cfg.Hide) > 0 {
		errs = append(errs, hideByMount(cfg.Hide))
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		errs = append(errs, fmt.Errorf("no new privileges: %w", err))
	}
	if r.LandlockABI > 0 && cfg.MaxTier.rank() >= TierLandlock.rank() {
		var hide []string
		if cfg.Strict && !r.Hides {
			hide = cfg.Hide
		}
		errs = append(errs, landlock(r.LandlockABI, hide))
	}
	return errors.Join(errs...)
}

// hideByMount gives the thread a mount namespace in which dirs are empty. Later
// mounts of the machine still reach it.
func hideByMount(dirs []string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("hide directories: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("hide directories: %w", err)
	}
	for _, dir := range dirs {
		err := unix.Mount("none", dir, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=000,size=4k")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("hide %s: %w", dir, err)
		}
	}
	return nil
}
