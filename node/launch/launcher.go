package launch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Launcher starts workers and knows all that live.
type Launcher struct {
	cfg      Config
	log      *slog.Logger
	dir      *ownDir
	report   Report
	requests chan *request
	ended    chan struct{} // closed when Run has returned

	mu       sync.Mutex // guards the fields below
	running  bool
	stopping bool
	starting sync.WaitGroup // Starts on their way
	watchers sync.WaitGroup // one for each process
	procs    map[*Process]struct{}
	tier     Tier
	serial   uint64
}

// New finds out what the machine allows and makes the launcher's directory. Run
// gives it back.
func New(cfg Config) (*Launcher, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if cfg.LogDir != "" {
		if err := os.MkdirAll(cfg.LogDir, 0o700); err != nil {
			return nil, fmt.Errorf("launch: make log directory: %w", err)
		}
	}
	if err := os.MkdirAll(cfg.TempDir, 0o700); err != nil {
		return nil, fmt.Errorf("launch: make temporary directory: %w", err)
	}
	dir, err := makeDir(cfg.TempDir)
	if err != nil {
		return nil, fmt.Errorf("launch: make temporary directory: %w", err)
	}
	report := probe(cfg.MaxTier)
	return &Launcher{
		cfg: cfg, log: cfg.Logger, dir: dir, report: report, tier: report.Tier,
		requests: make(chan *request), ended: make(chan struct{}), procs: map[*Process]struct{}{},
	}, nil
}

// Tier is the tier in force.
func (l *Launcher) Tier() Tier {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tier
}

// Run serves Start until ctx ends. When it returns, every worker is dead and
// reaped and the temporary directories are gone.
func (l *Launcher) Run(ctx context.Context) error {
	l.mu.Lock()
	if l.running {
		l.mu.Unlock()
		return errors.New("launch: Run is called twice")
	}
	l.running = true
	l.mu.Unlock()
	for _, m := range l.report.Missing {
		l.log.Info("workers are isolated less than they could be", "tier", l.report.Tier, "missing", m.Tier, "err", m.Why)
	}
	s := &spawner{l: l, stop: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	<-ctx.Done()
	l.mu.Lock()
	l.stopping = true
	l.mu.Unlock()
	l.starting.Wait()
	l.killAll()
	l.watchers.Wait()
	close(s.stop)
	<-s.done
	close(l.ended)
	if err := l.dir.remove(); err != nil {
		return fmt.Errorf("launch: remove temporary directory: %w", err)
	}
	return nil
}

func (l *Launcher) killAll() {
	l.mu.Lock()
	all := make([]*Process, 0, len(l.procs))
	for p := range l.procs {
		all = append(all, p)
	}
	l.mu.Unlock()
	for _, p := range all {
		p.Kill()
	}
}

// Start starts a worker. It returns when the program has been executed, before
// it did anything; an error names the program and the cause. Run must be, or
// come to be, running.
func (l *Launcher) Start(ctx context.Context, s Spec) (*Process, error) {
	l.mu.Lock()
	if l.stopping {
		l.mu.Unlock()
		return nil, fmt.Errorf("start %s: %w", s.Program.Name(), ErrStopped)
	}
	l.starting.Add(1)
	l.serial++
	serial := l.serial
	l.mu.Unlock()
	defer l.starting.Done()
	p, err := l.start(ctx, &s, serial)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Program.Name(), err)
	}
	return p, nil
}

func (l *Launcher) start(ctx context.Context, s *Spec, serial uint64) (*Process, error) {
	s.Program.Hold()
	defer s.Program.Close()
	tmp := filepath.Join(l.dir.path, fmt.Sprint(serial))
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return nil, err
	}
	w, err := openWires()
	if err != nil {
		return nil, errors.Join(err, os.Remove(tmp))
	}
	r := &request{spec: s, wires: w, dir: s.Dir, env: environ(os.Environ(), s, tmp, l.cfg.HasGPUs), reply: make(chan error, 1)}
	if r.dir == "" {
		r.dir = tmp
	}
	if err := l.ask(ctx, r); err != nil {
		w.closeAll()
		return nil, errors.Join(err, os.RemoveAll(tmp))
	}
	w.closeTheirs()
	p := newProcess(l, s, r, tmp)
	l.mu.Lock()
	l.procs[p] = struct{}{}
	l.watchers.Add(1)
	l.mu.Unlock()
	p.begin()
	return p, nil
}

// busyWait and busyTries bound how long Start waits for a program's file that a
// process forked at the wrong moment still holds for writing.
const (
	busyWait  = 5 * time.Millisecond
	busyTries = 40
)

// ask hands the request to the spawner. Once taken it is always answered.
func (l *Launcher) ask(ctx context.Context, r *request) error {
	for try := 1; ; try++ {
		select {
		case l.requests <- r:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.ended:
			return ErrStopped
		}
		err := <-r.reply
		if !errors.Is(err, unix.ETXTBSY) || try == busyTries {
			return err
		}
		select {
		case <-time.After(busyWait):
		case <-ctx.Done():
			return err
		}
	}
}

// forget drops an ended process.
func (l *Launcher) forget(p *Process) {
	l.mu.Lock()
	delete(l.procs, p)
	l.mu.Unlock()
	l.watchers.Done()
}
