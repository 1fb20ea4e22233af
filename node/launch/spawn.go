package launch

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// request asks the spawner for one process.
type request struct {
	spec  *Spec
	wires *wires
	dir   string
	env   []string
	reply chan error // has room for one
	proc  *os.Process
}

// spawner is the goroutine that forks; see the package comment.
type spawner struct {
	l    *Launcher
	stop chan struct{}
	done chan struct{}
}

// run serves requests. It never unlocks its thread: the thread's restrictions
// cannot be undone, so it ends with the goroutine.
//
// The thread is never the process's first: that one stands for the process, so
// that workers could signal a peer whose first thread shares their domain, and
// /proc shows its mounts as the peer's.
func (s *spawner) run() {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		go s.run() // on another thread, since this goroutine keeps the first one
		<-s.done
		runtime.UnlockOSThread()
		return
	}
	defer close(s.done)
	if err := confine(&s.l.cfg, s.l.report); err != nil {
		s.l.log.Warn("workers are confined less than configured", "err", err)
	}
	for {
		select {
		case r := <-s.l.requests:
			r.reply <- s.spawn(r)
		case <-s.stop:
			return
		}
	}
}

// spawn forks one worker. An error of the executed program itself comes back as
// the bare errno.
func (s *spawner) spawn(r *request) error {
	files := r.wires.theirs()
	top := 0
	for _, f := range files {
		top = max(top, int(f.Fd()))
	}
	// The child renumbers its descriptors just above the highest of these.
	fd, err := r.spec.Program.above(top + 32)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	name := r.spec.Name
	if name == "" {
		name = r.spec.Program.Name()
	}
	attr := &os.ProcAttr{Dir: r.dir, Env: r.env, Files: files, Sys: sysProcAttr(s.l.report.Tier)}
	proc, err := os.StartProcess(fmt.Sprintf("/proc/self/fd/%d", fd), append([]string{name}, r.spec.Args...), attr)
	if err != nil {
		if _, err := os.Stat(r.dir); err != nil {
			return fmt.Errorf("working directory: %w", err)
		}
		var path *os.PathError
		if errors.As(err, &path) && path.Op == "fork/exec" {
			return fmt.Errorf("execute: %w", path.Err)
		}
		return err
	}
	r.proc = proc
	s.limit(proc.Pid)
	return nil
}

func (s *spawner) limit(pid int) {
	set := func(resource int, to uint64) {
		lim := unix.Rlimit{Cur: to, Max: to}
		if err := unix.Prlimit(pid, resource, &lim, nil); err != nil && !errors.Is(err, unix.ESRCH) {
			s.l.log.Warn("a worker's limit is not set", "pid", pid, "resource", resource, "err", err)
		}
	}
	set(unix.RLIMIT_CORE, 0)
	if n := s.l.cfg.DataLimit; n > 0 {
		set(unix.RLIMIT_DATA, uint64(n))
	}
}

// sysProcAttr is how a worker is forked in a tier.
func sysProcAttr(t Tier) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if t != TierPIDNS {
		// Nothing takes the worker's children along here but the worker itself:
		// it ends its whole group on this signal and when its socket closes.
		a.Pdeathsig = syscall.SIGTERM
		return a
	}
	a.Cloneflags = unix.CLONE_NEWPID
	if !canMount() {
		uid, gid := os.Getuid(), os.Getgid()
		a.Cloneflags |= unix.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	}
	return a
}
