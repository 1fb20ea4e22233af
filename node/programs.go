package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/node/launch"
	"github.com/raygo/raygo/objects"
	"github.com/raygo/raygo/sdk/ipc"
)

// keepProgram copies a program into the data directory by CID, behind the
// driver's back, so that an attempt can be run again after it ended.
func (n *Node) keepProgram(j *job) {
	if n.cfg.Simulation != nil {
		close(j.kept)
		return
	}
	held := j.program.Hold()
	n.wg.Go(func() {
		defer close(j.kept)
		id, _, err := held.Keep(n.ctx, n.dir.programs(), programID)
		switch {
		case err == nil:
			j.cid.Store(&id)
			n.usedProgram(id)
		case n.ctx.Err() == nil:
			n.log.Warn("keep the program for replay", "err", err)
		}
		_ = held.Close()
		n.keepBuilds(j)
	})
}

// keepBuilds does the same for the builds that peers of other platforms run.
func (n *Node) keepBuilds(j *job) {
	for platform, path := range j.binaries {
		prog, err := launch.OpenFile(path)
		if err != nil {
			n.log.Warn("open a build of the program", "platform", platform, "err", err)
			continue
		}
		id, _, err := prog.Keep(n.ctx, n.dir.programs(), programID)
		if err != nil && n.ctx.Err() == nil {
			n.log.Warn("keep a build of the program", "platform", platform, "err", err)
		}
		j.builds[platform] = id
		_ = prog.Close()
	}
}

// programName is the CID of a running job's program, for which it waits; ""
// when it cannot be had.
func (j *job) programName(ctx context.Context) string {
	select {
	case <-j.kept:
	case <-ctx.Done():
	}
	if id := j.cid.Load(); id != nil {
		return *id
	}
	return ""
}

// programOf finds the kept program of a job, running or ended. The copy of a
// running job's is waited for.
func (n *Node) programOf(ctx context.Context, id raygo.JobID) (path, cid string) {
	n.mu.Lock()
	j := n.jobs[id]
	n.mu.Unlock()
	if j != nil {
		cid = j.programName(ctx)
	}
	n.book.mu.Lock()
	n.book.jobs.each(func(r *ipc.JobRow) {
		if r.JobID == id.String() {
			cid = r.CID
		}
	})
	n.book.mu.Unlock()
	if cid == "" {
		return "", ""
	}
	path = filepath.Join(n.dir.programs(), cid)
	if _, err := os.Stat(path); err != nil {
		return "", ""
	}
	return path, cid
}

// keptProgram opens a program that was kept under its CID. One that has other bytes
// by now is removed.
func keptProgram(path, name string) (*launch.Program, error) {
	prog, err := launch.OpenFile(path)
	if err != nil {
		return nil, err
	}
	id, err := prog.ID(programID)
	if err == nil && id == name {
		return prog, nil
	}
	_ = prog.Close()
	if err != nil {
		return nil, err
	}
	return nil, errors.Join(fmt.Errorf("kept program %s has other bytes than its name says: %w", path, objects.ErrCorrupt), os.Remove(path))
}

// programID is a program's CID in text.
func programID(r io.ReaderAt, size int64) (string, error) {
	id, err := objects.CIDOf(r, size)
	if err != nil {
		return "", fmt.Errorf("hash a program: %w", err)
	}
	return id.String(), nil
}
