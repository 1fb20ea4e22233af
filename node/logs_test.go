package node

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
)

func someLogs(t *testing.T) *logs {
	t.Helper()
	l, err := newLogs(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

// all reads to the end of what there is.
func (r *logReader) all(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for {
		b, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 {
			return out.String()
		}
		out.Write(b)
	}
}

func say(t *testing.T, l *logs, w *worker, task raygo.TaskID, line string) {
	t.Helper()
	if err := l.write(w, task, []byte(line)); err != nil {
		t.Fatal(err)
	}
}

// behaviour 225
func TestALineIsTheTasksThatWroteIt(t *testing.T) {
	l := someLogs(t)
	j := &job{id: raygo.NewJobID()}
	w1, w2 := &worker{id: 1, job: j}, &worker{id: 2, job: j}
	a, b := raygo.NewTaskID(j.id, 1, 1), raygo.NewTaskID(j.id, 1, 2)
	running := l.ofTask(a)
	say(t, l, w1, a, "a1")
	say(t, l, w2, b, "b1")
	if got := running.all(t); got != "a1\n" {
		t.Errorf("of a while it runs: %q", got)
	}
	say(t, l, w1, a, "a2")
	say(t, l, w1, raygo.TaskID{}, "nobody's")
	say(t, l, w1, b, "b2")
	say(t, l, w1, a, "a3")
	if got := running.all(t); got != "a2\na3\n" {
		t.Errorf("of a from there on: %q", got)
	}
	if got := l.ofTask(a).all(t); got != "a1\na2\na3\n" {
		t.Errorf("of a: %q", got)
	}
	if got := l.ofTask(b).all(t); got != "b1\nb2\n" {
		t.Errorf("of b: %q", got)
	}
	if got := l.ofTask(raygo.NewTaskID(j.id, 1, 3)).all(t); got != "" {
		t.Errorf("of a task that said nothing: %q", got)
	}
}

// A job's log is followed although its workers write by turns.
func TestAJobsLogGoesOnInEveryFile(t *testing.T) {
	l := someLogs(t)
	j, other := &job{id: raygo.NewJobID()}, &job{id: raygo.NewJobID()}
	r := l.ofJob(j.id)
	w1, w2 := &worker{id: 1, job: j}, &worker{id: 2, job: j}
	say(t, l, w1, raygo.TaskID{}, "one")
	say(t, l, w2, raygo.TaskID{}, "two")
	say(t, l, &worker{id: 3, job: other}, raygo.TaskID{}, "another job's")
	first := r.all(t)
	say(t, l, w1, raygo.TaskID{}, "three")
	say(t, l, w2, raygo.TaskID{}, "four")
	if second := r.all(t); first != "one\ntwo\n" || second != "three\nfour\n" {
		t.Errorf("first %q, then %q", first, second)
	}
}

// Logs are bounded; what is not kept is said to be gone.
func TestOldLogsGo(t *testing.T) {
	l := someLogs(t)
	j := &job{id: raygo.NewJobID()}
	task := raygo.NewTaskID(j.id, 1, 1)
	for i := range maxLogFiles + 3 {
		say(t, l, &worker{id: sched.WorkerID(i + 1), job: j}, task, fmt.Sprint("worker ", i))
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil || len(entries) != maxLogFiles {
		t.Errorf("%d files, want %d: %v", len(entries), maxLogFiles, err)
	}
	got := l.ofTask(task).all(t)
	if !strings.HasPrefix(got, logGone+"worker 3\n") || strings.Count(got, "\n") != maxLogFiles+1 {
		t.Errorf("it begins with %.80q and has %d lines", got, strings.Count(got, "\n"))
	}
	if got := l.ofJob(j.id).all(t); strings.Count(got, "\n") != maxLogFiles {
		t.Errorf("the job's log has %d lines", strings.Count(got, "\n"))
	}
	// The worker of a file that went begins another.
	say(t, l, &worker{id: 1, job: j}, task, "again")
	if got := l.ofTask(task).all(t); !strings.HasSuffix(got, "again\n") {
		t.Errorf("it ends with %q", got[len(got)-20:])
	}
}

// A worker that writes much goes on being heard.
func TestAFullLogFileIsFollowedByTheNext(t *testing.T) {
	l := someLogs(t)
	j := &job{id: raygo.NewJobID()}
	w, task := &worker{id: 1, job: j}, raygo.NewTaskID(j.id, 1, 1)
	line := bytes.Repeat([]byte("x"), 60<<10)
	n := 2*maxLogFile/len(line) + 2
	for range n {
		say(t, l, w, task, string(line))
	}
	if len(l.order) != 3 {
		t.Errorf("%d files, want 3", len(l.order))
	}
	if got := l.ofTask(task).all(t); len(got) != n*(len(line)+1) {
		t.Errorf("%d bytes are kept, %d were written", len(got), n*(len(line)+1))
	}
}
