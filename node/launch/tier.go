package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// scopeABI is the Landlock version that knows scoping of signals.
const scopeABI = 6

// Reason says why a tier is not possible here.
type Reason struct {
	Tier Tier
	Why  error
}

// Report says which tier this machine allows.
type Report struct {
	// Tier is the best possible one.
	Tier Tier
	// Missing are the better ones and why they are not possible.
	Missing []Reason
	// LandlockABI is the kernel's Landlock version, 0 when it has none.
	LandlockABI int
	// Hides says whether directories can be hidden from workers by mounts.
	Hides bool
}

// Usual is the tier in force where Config.MaxTier is not set.
func (r Report) Usual() Tier {
	if r.LandlockABI >= scopeABI {
		return TierLandlock
	}
	return TierProcessGroup
}

// Probe finds out what this machine allows by trying it.
func Probe(ctx context.Context) Report {
	got := make(chan Report, 1)
	go func() { got <- probe(TierPIDNS) }() // ends by itself: it is one fork
	select {
	case r := <-got:
		return r
	case <-ctx.Done():
		return Report{Tier: TierProcessGroup, Missing: []Reason{{TierPIDNS, ctx.Err()}}}
	}
}

func probe(best Tier) Report {
	abi, abiErr := landlockABI()
	r := Report{Tier: TierProcessGroup, LandlockABI: abi, Hides: canMount()}
	missing := func(t Tier, why error) {
		if t.rank() <= best.rank() {
			r.Missing = append(r.Missing, Reason{t, why})
		}
	}
	var nsErr error
	if best.rank() >= TierPIDNS.rank() {
		if nsErr = tryNamespace(); nsErr == nil {
			r.Tier = TierPIDNS
			return r
		}
		missing(TierPIDNS, nsErr)
	}
	switch {
	case abiErr != nil:
		missing(TierLandlock, abiErr)
	case abi < scopeABI:
		missing(TierLandlock, fmt.Errorf("the kernel's Landlock has version %d, signals need %d (Linux 6.12)", abi, scopeABI))
	case best.rank() >= TierLandlock.rank():
		r.Tier = TierLandlock
	}
	return r
}

// tryNamespace forks into a process namespace to execute a program that is not
// there: the kernel's complaint about just that means the rest worked.
func tryNamespace() error {
	runtime.LockOSThread() // the parent-death signal looks at this thread
	defer runtime.UnlockOSThread()
	p, err := os.StartProcess("/proc/self/fd/none", []string{"none"}, &os.ProcAttr{Sys: sysProcAttr(TierPIDNS)})
	switch {
	case err == nil:
		_, err = p.Wait()
		return err
	case errors.Is(err, os.ErrNotExist):
		return nil
	case !canMount():
		return fmt.Errorf("process and user namespaces: %w", errors.Unwrap(err))
	}
	return fmt.Errorf("process namespaces: %w", errors.Unwrap(err))
}

// canMount reports whether this process has CAP_SYS_ADMIN.
func canMount() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}
