package sched

import (
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

func (w *chaos) cancel(t *dice) {
	id, ok := pick(t, w.tasks[max(0, len(w.tasks)-12):], "task")
	if !ok {
		return
	}
	w.request++
	w.asked[w.request] = id
	w.do(&Cancel{Request: w.request, Proc: w.procs[0].id, Task: id, Force: chance(t, 30), Recursive: chance(t, 50)})
}

// someProc is any process.
func (w *chaos) someProc(t *dice) *chaosProc {
	job, _ := pick(t, w.jobs, "job")
	return w.procOf(t, job)
}

func (w *chaos) releaseSome(t *dice) {
	p := w.someProc(t)
	ids := w.ids(t, p.job, 2)
	for _, id := range ids {
		if chance(t, 30) {
			ids = append(ids, id.Task().Object(raygo.StreamIndex))
		}
	}
	w.do(&Release{Proc: p.id, Objects: ids})
}

func (w *chaos) borrowSome(t *dice) {
	p := w.someProc(t)
	w.do(&Borrow{Proc: p.id, Objects: w.ids(t, p.job, 2)})
}

func (w *chaos) wantSome(t *dice) {
	p := w.someProc(t)
	w.do(&Want{Proc: p.id, Objects: w.ids(t, p.job, 2), Mode: 1})
}

func (w *chaos) putOne(t *dice) {
	p := w.someProc(t)
	nested := w.ids(t, p.job, 2)
	id := w.newID(p.job, p.id)
	w.do(&Put{Object: id.Object(0), Proc: p.id, Value: w.someValue(t, id.Object(0)), Nested: nested})
}

func (w *chaos) streamOp(t *dice) {
	p := w.someProc(t)
	id, ok := pick(t, w.tasks[max(0, len(w.tasks)-12):], "task")
	if !ok {
		return
	}
	switch t.n(0, 3) {
	case 0:
		w.do(&StreamOpen{Proc: p.id, Task: id})
	case 1:
		w.do(&StreamClose{Proc: p.id, Task: id})
	default:
		w.do(&StreamTaken{Proc: p.id, Task: id, N: uint32(t.n(0, 4))})
	}
}

func (w *chaos) time(t *dice) {
	w.now = w.now.Add(one(t, []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond, 6 * time.Millisecond, time.Second, 5 * time.Second, 2 * time.Minute}))
	w.do(&Tick{})
}

// staleEvent is law 2: what is over changes nothing but dropping bytes.
func (w *chaos) staleEvent(t *dice) {
	if len(w.stale) == 0 {
		return
	}
	i := t.n(0, len(w.stale)-1)
	m, on := w.stale[i], w.staleOn[i]
	if k, ok := pick(t, w.workers, "on"); ok && chance(t, 50) {
		on = k.id
	}
	var ev Event
	switch t.n(0, 6) {
	case 0:
		ev = &Result{Worker: on, Task: m.Task, Award: m.Award, Outcomes: []Outcome{{Value: Value{Kind: Stored, Store: m.Task.Object(0)}}}}
	case 1:
		ev = &Blocked{Worker: on, Task: m.Task, Award: m.Award}
	case 2:
		ev = &Unblocked{Worker: on, Task: m.Task, Award: m.Award}
	case 3:
		ev = &Returned{Worker: on, Tasks: []Mark{m}}
	case 4:
		ev = &Yield{Worker: on, Task: m.Task, Award: m.Award, Outcome: Outcome{Value: inline("old")}}
	case 5:
		ev = &ArgsReady{Task: m.Task, Award: m.Award}
	default:
		ev = &Started{Worker: on, Task: m.Task, Award: m.Award}
	}
	w.do(&Tick{}) // timers that are due are not the stale event's doing
	before := w.c.Counts()
	for _, e := range w.do(ev) {
		if _, ok := e.(*Delete); !ok {
			w.fatal("law 2: stale %T had the effect %T%+v", ev, e, e)
		}
	}
	if after := w.c.Counts(); before != after {
		w.fatal("law 2: stale %T changed %+v to %+v", ev, before, after)
	}
}

// rubbish is events about what is not there, or in the wrong order.
func (w *chaos) rubbish(t *dice) {
	p := w.someProc(t)
	task, _ := pick(t, append(w.tasks, raygo.TaskID{9}, raygo.TaskID{}), "task")
	index := one(t, []uint32{0, 7, raygo.MaxYields, raygo.StreamIndex, raygo.CompletedIndex})
	id := task.Object(index)
	k := WorkerID(t.n(0, 9))
	evs := []Event{
		&Submit{Task: task, Class: 1, Proc: p.id}, &Submit{Task: task, Class: 99, Proc: 98}, &Put{Object: id, Proc: p.id, Value: Value{Kind: 77, Parts: 1 << 31}},
		&Want{Proc: p.id, Objects: []raygo.ObjectID{id}}, &Borrow{Proc: p.id, Objects: []raygo.ObjectID{id, id}}, &Release{Proc: p.id, Objects: []raygo.ObjectID{id, id}},
		&Result{Worker: 99, Task: task, Award: 3, Status: 99}, &Yield{Worker: 99, Task: task}, &Started{Worker: k, Task: task, Award: 77},
		&Returned{Worker: k, Tasks: []Mark{{task, 77}}}, &StreamOpen{Proc: p.id, Task: task}, &StreamTaken{Proc: p.id, Task: task, N: 1 << 31},
		&WorkerStarted{Worker: 99, Proc: 5}, &WorkerStarted{Worker: k, Proc: p.id}, &WorkerFailed{Worker: 99}, &WorkerGone{Worker: 99},
		&ArgsReady{Task: task, Award: 77}, &ArgsFailed{Task: task, Award: 77}, &MemoAnswer{Task: task, Award: 77}, &ObjectLost{Object: raygo.ObjectID{9}},
		&JobStarted{Job: p.job, Driver: 55}, &JobStarted{Job: raygo.JobID{7}, Driver: p.id}, &JobAttached{Job: raygo.JobID{9}, Driver: 3}, &JobEnded{Job: raygo.JobID{9}},
		&ProcGone{Proc: 4444}, &ClassDefined{Class: 1, Job: raygo.JobID{9}}, &StreamClose{Proc: 4444, Task: task}, &Cancel{Proc: 4444, Task: raygo.TaskID{9}},
	}
	ev, _ := pick(t, evs, "event")
	_, submits := ev.(*Submit)
	_, puts := ev.(*Put)
	if _, unfinished := w.c.Task(task); (submits || puts) && !unfinished && slices.Contains(w.tasks, task) {
		return // an ID used again when all of the old one is gone is a new one
	}
	if e, ok := ev.(*Cancel); ok {
		w.request++
		e.Request = w.request
		w.asked[w.request] = e.Task
	}
	if e, ok := ev.(*WorkerStarted); ok && w.c.procs[e.Proc] == nil {
		e.Proc = 0 // a worker that would be believed
	}
	w.do(ev)
}

func (w *chaos) lose(t *dice) {
	job, _ := pick(t, w.jobs, "job")
	for _, id := range w.ids(t, job, 1) {
		w.lost[id] = true
		w.do(&ObjectLost{Object: id, Failure: raygo.Fail(raygo.CodeObjectLost, "gone")})
	}
}

// end ends a job, rarely; what is asked of it later changes nothing.
func (w *chaos) end(t *dice) {
	if chance(t, 2) {
		w.do(&ProcGone{Proc: w.procs[0].id})
	} else if chance(t, 2) {
		w.do(&JobEnded{Job: w.jobs[1], Reason: "cancelled"})
	} else if chance(t, 10) {
		w.proc++
		w.procs = append(w.procs, &chaosProc{w.proc, w.jobs[1], map[raygo.ObjectID]int{}})
		w.do(&JobAttached{Job: w.jobs[1], Driver: w.proc})
	}
}

func (w *chaos) memory(t *dice) {
	if chance(t, 30) {
		w.do(&KillForMemory{Reason: "95 %"})
	}
}

// settleAll is laws 3, 5 and 6 when faults stop: workers answer everything,
// every task ends, all comes back, and nothing that nobody holds is kept.
func (w *chaos) settleAll() {
	for range 2000 {
		if w.c.tasks == 0 && w.c.Counts().Running == 0 && len(w.starting) == 0 {
			break
		}
		w.calm()
	}
	w.c.Tasks(func(v *TaskView) bool {
		full, _ := w.c.Task(v.ID)
		w.fatal("law 5: task %d does not end: %+v", v.ID.Seq(), full)
		return false
	})
	w.calm()
	w.now = w.now.Add(time.Minute)
	w.do(&Tick{})
	total, free := w.c.Capacity()
	for name := range total {
		if total[name] != free[name] {
			w.fatal("law 3: %s: %v of %v is free at rest", name, free[name], total[name])
		}
	}
	for r := range w.asked {
		if w.answers[r] != 1 {
			w.fatal("cancel %d has %d answers", r, w.answers[r])
		}
	}
	for len(w.workers) > 0 {
		w.gone(w.workers[0])
		w.do(&Tick{})
	}
	for _, p := range w.procs {
		if w.c.procs[p.id] == nil {
			continue // its job is over
		}
		var ids []raygo.ObjectID
		for id, n := range w.c.procs[p.id].refs.all() {
			ids = append(ids, slices.Repeat([]raygo.ObjectID{id}, int(n))...)
		}
		slices.SortFunc(ids, func(a, b raygo.ObjectID) int { return slices.Compare(a[:], b[:]) })
		w.do(&Release{Proc: p.id, Objects: ids})
	}
	for _, j := range w.c.jobs {
		if j.objects.n > 0 || len(j.streams) > 0 {
			w.fatal("law 6: %d objects and %d streams are left", j.objects.n, len(j.streams))
		}
	}
	for _, id := range w.jobs {
		w.do(&JobEnded{Job: id, Reason: "over"})
		for len(w.starting) > 0 {
			w.start(w.starting[0], true)
		}
		if !w.done[id] {
			w.fatal("job %s is not done", id)
		}
	}
	if len(w.c.classes)+len(w.c.workers)+len(w.c.order)+len(w.c.ready) > 0 {
		w.fatal("something is left of the jobs")
	}
}

// calm answers everything that is asked, as it should be, once.
func (w *chaos) calm() {
	for len(w.starting) > 0 {
		w.start(w.starting[0], true)
	}
	for len(w.fetches) > 0 {
		f := w.fetches[0]
		w.fetches = w.fetches[1:]
		w.do(&ArgsReady{Task: f.Task, Award: f.Award})
	}
	for len(w.memos) > 0 {
		m := w.memos[0]
		w.memos = w.memos[1:]
		w.do(&MemoAnswer{Task: m.Task, Award: m.Award})
	}
	for _, k := range slices.Clone(w.workers) {
		k.recall = false
		switch {
		case w.worker(k.id) == nil || len(k.queue) == 0:
		case k.blocked:
			w.do(&Unblocked{Worker: k.id, Task: k.queue[0].Task, Award: k.queue[0].Award})
		default:
			w.complete(k, inline("v"), nil)
		}
	}
	w.now = w.now.Add(10 * time.Millisecond)
	if next := w.c.Next(); next.After(w.now) && w.c.Counts().Running == 0 {
		w.now = next
	}
	w.do(&Tick{})
}
