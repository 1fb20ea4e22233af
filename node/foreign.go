package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/launch"
	"github.com/raygo/raygo/node/wire"
	"github.com/raygo/raygo/objects/swarm"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// platform is what programs of this peer are built for.
const platform = runtime.GOOS + "/" + runtime.GOARCH

// programRetry is the pause before another try to bring a program.
const programRetry = 500 * time.Millisecond

// info is what peers that run tasks of a job are told of it.
func (j *job) info() []byte {
	return wire.Encoded(&wire.JobInfo{
		Name: j.name, Program: j.binary, Functions: j.functions, Dir: j.dir, Logs: j.logs, Platforms: j.platforms,
		Started: j.started.UnixNano(), PID: j.pid,
	})
}

// jobOpened makes ready for tasks of another peer's job. The loop is held.
func (n *Node) jobOpened(e *sched.JobOpened) {
	if n.jobs[e.Job] != nil || n.stopped {
		return
	}
	var info wire.JobInfo
	if err := wire.Decoded(e.Info, &info); err != nil {
		n.log.Warn("a peer's description of its job", "peer", e.Owner, "job", e.Job, "err", err)
	}
	j := &job{
		id: e.Job, guest: true, name: info.Name, binary: info.Program, functions: info.Functions, dir: info.Dir, pid: info.PID,
		started: time.Unix(0, info.Started), logs: info.Logs, platforms: info.Platforms,
		interned: map[string]sched.ClassID{}, kept: make(chan struct{}),
	}
	j.of.Store(&e.Owner)
	n.jobs[e.Job] = j
	var ctx context.Context
	ctx, j.cancel = context.WithCancel(n.ctx)
	var err error
	if j.arena, j.arenaSize, err = n.store.OpenJob(j.id); err != nil {
		j.unusable = fmt.Sprintf("open the job's arena: %v", err)
		close(j.kept)
		return
	}
	n.wg.Go(func() { n.bringProgram(ctx, j) })
}

// classKnown notes a class that another peer defined. The loop is held.
func (n *Node) classKnown(e *sched.ClassKnown) {
	cl := &class{id: e.Class, job: e.Job}
	if err := ipc.Unmarshal(e.Def, &cl.def); err != nil {
		n.log.Warn("a peer's description of a function", "job", e.Job, "err", err)
		return
	}
	cl.row = sched.Shape(&cl.def.Options)
	n.classes[cl.id] = cl
	if j := n.jobs[e.Job]; j != nil {
		j.known = append(j.known, cl.id)
	}
}

// errForGood is wrapped by errors about a program that waiting does not mend.
var errForGood = errors.New("cannot be had")

// bringProgram gets the program of another peer's job, trying until the job
// ends.
func (n *Node) bringProgram(ctx context.Context, j *job) {
	for {
		prog, name, err := n.programFrom(ctx, j)
		if err != nil && ctx.Err() == nil && !errors.Is(err, errForGood) {
			n.log.Warn("bring a program", "job", j.id, "owner", j.owner(), "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(programRetry):
				continue
			}
		}
		n.mu.Lock()
		switch {
		case err != nil:
			j.unusable = err.Error()
		case j.ended:
			_ = prog.Close()
			j.unusable = "the job has ended"
		default:
			if st, err := os.Stat(j.dir); err != nil || !st.IsDir() {
				j.dir = "" // the driver's directory is on its own machine
			}
			j.program = prog
			j.cid.Store(&name)
			n.step(&sched.ProgramHere{Job: j.id})
		}
		close(j.kept)
		flush := n.endTurn()
		n.mu.Unlock()
		flushAll(flush)
		return
	}
}

// programFrom asks the owner for the program's name, or others if it is gone, and
// brings it.
func (n *Node) programFrom(ctx context.Context, j *job) (*launch.Program, string, error) {
	if n.cfg.Simulation != nil {
		prog, err := launch.OpenProgram(os.Getpid())
		return prog, "", err
	}
	if len(j.platforms) > 0 && !slices.Contains(j.platforms, platform) {
		return nil, "", fmt.Errorf("program %s of job %s %w: there is no build of it for %s, only for %v; add one with: raygo run --platform %s",
			j.binary, j.id, errForGood, platform, j.platforms, platform)
	}
	a, from, err := n.askForProgram(ctx, j)
	if err != nil {
		var f *raygo.Failure
		if errors.As(err, &f) && f.Code == raygo.CodeUnschedulable {
			err = fmt.Errorf("%w: %w", errForGood, err)
		}
		return nil, "", fmt.Errorf("ask for the program of job %s: %w", j.id, err)
	}
	c, err := cid.Decode(a.CID)
	if err != nil {
		return nil, "", fmt.Errorf("the program of job %s is called %q: %w", j.id, a.CID, err)
	}
	name := c.String()
	path := filepath.Join(n.dir.programs(), name)
	if prog, err := keptProgram(path, name); err == nil {
		n.usedProgram(name)
		return prog, name, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		n.log.Warn("a kept program is fetched anew", "job", j.id, "err", err)
	}
	_, err = n.mesh.swarm.Fetch(ctx, swarm.Want{
		CID: c, Size: a.Size, Maker: from, Priority: swarm.ForArguments,
		Holders: func() []string { return []string{from} },
		Find:    func(ctx context.Context) []string { return n.mesh.providers(ctx, c) },
	})
	if err != nil {
		return nil, "", fmt.Errorf("fetch the program of job %s: %w", j.id, err)
	}
	prog, err := launch.OpenFile(path)
	if err == nil {
		n.usedProgram(name)
		if err := n.mesh.dht.Provide(c); err != nil {
			n.log.Debug("announce a program", "cid", c, "err", err)
		}
	}
	return prog, name, err
}

// askForProgram asks the owner of a job what its program is called, and peers that
// have run tasks of it when the owner is gone.
func (n *Node) askForProgram(ctx context.Context, j *job) (a wire.ProgramAnswer, from string, err error) {
	q := &wire.ProgramAsk{Job: j.id, Platform: platform}
	from = j.owner()
	err = errPeerGone
	if from != "" && n.mesh.who.isLinked(from) {
		var f *raygo.Failure
		err = n.mesh.askFor(ctx, from, wire.OpProgram, q, &a)
		if err == nil || errors.As(err, &f) && f.Code == raygo.CodeUnschedulable {
			return a, from, err
		}
	}
	for _, other := range n.mesh.linked() {
		if other != from && n.mesh.askFor(ctx, other, wire.OpProgram, q, &a) == nil {
			return a, other, nil
		}
	}
	return a, from, err
}

// programAnswer names the build of a job's program for a platform.
func (n *Node) programAnswer(ctx context.Context, q *wire.ProgramAsk) (*wire.ProgramAnswer, error) {
	n.mu.Lock()
	j := n.jobs[q.Job]
	n.mu.Unlock()
	if j == nil || j.guest && j.cid.Load() == nil {
		return nil, raygo.Fail(raygo.CodeJobEnded, "job %s is not of this peer, which does not have its program either", q.Job)
	}
	name := j.programName(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if q.Platform != platform {
		name = j.builds[q.Platform]
	}
	switch {
	case name != "":
	case !slices.Contains(j.platforms, q.Platform):
		return nil, raygo.Fail(raygo.CodeUnschedulable, "there is no build of %s for %s; add one with: raygo run --platform %s", j.binary, q.Platform, q.Platform)
	default:
		return nil, raygo.Fail(raygo.CodeRefused, "the program of job %s could not be kept", q.Job)
	}
	st, err := os.Stat(filepath.Join(n.dir.programs(), name))
	if err != nil {
		return nil, raygo.Fail(raygo.CodeRefused, "the program of job %s is not kept any more: %v", q.Job, err)
	}
	return &wire.ProgramAnswer{CID: name, Size: uint64(st.Size())}, nil
}

// launchable is the job's program, for which it waits if it is on its way.
func (n *Node) launchable(ctx context.Context, j *job) (*launch.Program, error) {
	if !j.guest {
		return j.program, nil
	}
	t := time.NewTimer(n.cfg.WorkerStart)
	defer t.Stop()
	select {
	case <-j.kept:
	case <-t.C:
		return nil, fmt.Errorf("the program of job %s did not arrive within %s", j.id, n.cfg.WorkerStart)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if j.program == nil {
		return nil, errors.New(j.unusable)
	}
	return j.program, nil
}
