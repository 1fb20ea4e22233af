package node

import (
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

func someBook(t testing.TB, events int) *book {
	t.Helper()
	b, err := newBook(Config{MaxEvents: events}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

func endedTask(job raygo.JobID, i int) *sched.Ended {
	now := time.Now()
	return &sched.Ended{
		Task: raygo.NewTaskID(job, 1, uint32(i)), Function: "f", State: raygo.Finished, PID: 7, Created: now, Started: now, Ended: now, Final: true,
		Args: []byte{0, 1, 2},
	}
}

func TestTheBookKeepsTheLastAttempts(t *testing.T) {
	const limit = 10_000
	b, job, cl := someBook(t, limit), raygo.NewJobID(), &class{}
	quiet := &class{def: ipc.Class{Options: raygo.Options{NoEvents: true}}}
	before := 0
	for i := range limit + 500 {
		if i == limit {
			before = b.everEnded()
		}
		b.ended(endedTask(job, i), cl)
		b.ended(endedTask(job, i), quiet) // behaviour 218
	}
	all, fresh := b.endedSince(before)
	if len(all) != limit || fresh != 500 || all[0].task.Seq() != 500 || all[limit-1].task.Seq() != limit+499 {
		t.Errorf("it has %d attempts, %d of them new, from %d to %d", len(all), fresh, all[0].task.Seq(), all[len(all)-1].task.Seq())
	}
}

// Replay keeps the arguments of few attempts, and of none that were large.
func TestArgumentsForReplayAreBounded(t *testing.T) {
	b, job, cl := someBook(t, 10_000), raygo.NewJobID(), &class{}
	for i := range 3 * maxReplays {
		e := endedTask(job, i)
		e.Args = make([]byte, maxReplaySize)
		if i%2 == 1 {
			e.Args = make([]byte, maxReplaySize+1)
		}
		b.ended(e, cl)
	}
	kept, last := 0, uint32(0)
	b.replays.each(func(r **sched.Ended) {
		e := *r
		kept += replaySize(e)
		if len(e.Args) > 0 {
			last = e.Task.Seq()
		}
	})
	if kept > maxReplayAll || kept != b.kept || last != 3*maxReplays-2 {
		t.Errorf("%d bytes are kept (it says %d), the last is of task %d", kept, b.kept, last)
	}
}

func BenchmarkEnded(b *testing.B) {
	bk, job, cl := someBook(b, 200_000), raygo.NewJobID(), &class{}
	e := endedTask(job, 1)
	b.ReportAllocs()
	for b.Loop() {
		bk.ended(e, cl)
	}
}
