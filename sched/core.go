package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	raygo "github.com/raygo/raygo"
)

// Config is what a Core is made from. All of it is fixed for the core's life.
type Config struct {
	Self      string // this peer's ID, for affinity and messages
	Seed      uint64
	Resources Resources
	Labels    map[string]string

	NoDecisions bool // keep no record of decisions, for worlds of a thousand peers

	MaxWorkers int           // processes, blocked ones included; see canStartWorker
	MaxTasks   int           // unfinished tasks
	WorkerIdle time.Duration // an idle worker up to the CPU count is kept so long
}

// Times and counts that are not configuration. Each is where the trade-off it
// names was judged, not measured to the last digit.
const (
	idleOverLimit = time.Second            // an idle worker beyond the CPU count goes after this
	warmShare     = 4                      // this part of all workers may be idle: the pools of several jobs
	starveAfter   = time.Second            // a ready class passed over so long gets capacity set aside
	cancelGrace   = 2 * time.Second        // a running task that ignores its context is Unreachable then
	timeoutGrace  = time.Second            // past Timeout, before the worker is killed
	aheadWork     = 2 * time.Millisecond   // work queued ahead on one worker at most
	aheadLongest  = time.Millisecond       // classes slower than this are not sent ahead
	aheadMax      = 256                    // tasks ahead on one worker
	aheadTurn     = 10 * time.Millisecond  // a class keeps a worker so long while others wait
	recallAfter   = 5 * time.Millisecond   // a current task running so long gives up what waits behind it
	hintRuns      = 10_000                 // runs of a class after which it is judged
	hintMean      = 50 * time.Microsecond  // tasks shorter than this are better done many in one
	hintBlocked   = 8                      // blocked workers a CPU that are worth a word
	startTries    = 3                      // failed worker starts in a row before tasks fail
	oomRetries    = 15                     // kills by the memory guard that a retriable task survives
	oomBackoff    = 200 * time.Millisecond // first delay after such a kill; doubles
	oomBackoffMax = 20 * time.Second
	maxKept       = 1 << 16 // room for effects that is kept from step to step
)

// Core is the state machine. It is not safe for concurrent use.
type Core struct {
	cfg     Config
	now     time.Time
	rng     *rand.Rand
	led     *ledger
	jobs    map[raygo.JobID]*job
	classes map[ClassID]*class
	procs   map[raygo.ProcID]*proc
	workers map[WorkerID]*worker
	order   []*worker // workers by age, for choices that must not depend on map order
	ready   []*class  // classes with queued tasks
	keptFor *class    // while a class is placed: what room is set aside for
	resume  []*task   // unblocked tasks that wait for their CPU
	timers  timerHeap
	out     []Effect
	free    []*object // objects to look at for freeing: a worklist instead of recursion
	doomed  []doom    // tasks whose argument failed: likewise

	nextWorker WorkerID
	tasks      int
	turn       uint64 // calls of schedule
	places     uint64 // tasks given a place
	draining   bool
	oomKills   int
	impostors  int
	pastBound  int
	startFails map[poolKey]int
	cancels    map[*task][]*Cancel // not answered yet
	compactAt  int                 // timers are looked through for dead ones at this count

	peers      map[string]*peer
	peerOrder  []*peer
	topology   uint64 // rises when a peer comes, goes or changes
	shares     bool   // there has been another peer
	wards      map[raygo.JobID]*ward
	wardBytes  int
	from       *peer // whose message is being handled
	dirtyPeers []*peer
	bidding    []*class // to be answered at the end of the step
	leased     []*class // with slots kept for their owners
	assigning  []*seat  // with assignments to be sent
	openSeats  []*class // with offers that may be of no use
	aheads     []*class // with tasks sent ahead to other peers
	rounds     uint64
	rolls      uint64
	rollTimed  bool
	offers     float64       // slots that a peer which is asked offers, usually
	answerTime time.Duration // that bids usually take
	slowestRTT time.Duration // of any peer so far
	nextClass  ClassID
	storeUsed  float64

	decisions   map[raygo.TaskID]*Decision
	decided     []raygo.TaskID // their ring
	nextDecided int
}

// job is one run of a driver.
type job struct {
	id             raygo.JobID
	driver         raygo.ProcID
	detached       bool
	ended          bool
	tasks          *index[*task]
	objects        *index[*object]
	streams        map[raygo.TaskID]*stream
	workers        int
	running        int // tasks on workers now, for fairness between jobs
	finished       int
	failed         int
	advised        bool // of tasks that are too short
	advisedBlocked bool // of workers that only wait
	warmed         bool

	owner    *peer     // nil: this one
	epoch    uint32    // counts its owners
	guards   *guards   // of a job of ours that outlives us
	watched  *watched  // of another's that outlives it
	adopting *adoption // it has just become ours

	info    []byte   // what its executors are told
	builds  []string // platforms that its program can run on; none means all
	program bool     // can be started here
	byDef   map[string]*class

	full        map[string]bool             // peers that cannot open it, of which its driver was told
	short       map[raygo.ObjectID]struct{} // objects of fewer copies than there are to be
	copiesTimed bool

	lineage      map[raygo.TaskID]*lineage
	lineageBytes int
	lineageFull  bool // some were not remembered
}

// proc is an attached process and what it holds.
type proc struct {
	id   raygo.ProcID
	job  *job
	refs *index[int32]
	peer *peer // where it is attached; nil: here
	held int   // refs it holds of a job owned elsewhere, about

	// What it waits for of a job that is owned elsewhere and outlives its owner; refs
	// has what it holds of it. See holding.
	awaits  map[Await]struct{}
	streams map[raygo.TaskID]uint32
	cancels map[uint32]Cancel
}

// New makes a core.
func New(cfg Config) *Core {
	if cfg.MaxWorkers <= 0 {
		cfg.MaxWorkers = 64
	}
	if cfg.MaxTasks <= 0 {
		cfg.MaxTasks = 4_000_000
	}
	if cfg.WorkerIdle <= 0 {
		cfg.WorkerIdle = time.Minute
	}
	return &Core{
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x7261_7967_6f)), led: newLedger(cfg.Resources),
		jobs: map[raygo.JobID]*job{}, classes: map[ClassID]*class{}, procs: map[raygo.ProcID]*proc{},
		workers: map[WorkerID]*worker{}, startFails: map[poolKey]int{}, cancels: map[*task][]*Cancel{},
		peers: map[string]*peer{}, topology: 1, answerTime: answerFirst, offers: 1, decisions: map[raygo.TaskID]*Decision{},
		wards: map[raygo.JobID]*ward{},
	}
}

// Step lets one event happen at now and returns what is to be done about it.
// The slice is valid until the next Step. An event about something unknown or
// outdated changes nothing.
func (c *Core) Step(now time.Time, ev Event) []Effect {
	if now.After(c.now) {
		c.now = now
	}
	clear(c.out)
	if c.out = c.out[:0]; cap(c.out) > maxKept {
		c.out = nil
	}
	c.fire()
	c.apply(ev)
	for c.sweep(); ; c.sweep() {
		c.schedule()
		if len(c.free) == 0 && len(c.doomed) == 0 {
			break
		}
	}
	if c.shares {
		c.steal()
		c.flush()
	}
	return c.out
}

// Next is when a Tick is due; zero means never.
func (c *Core) Next() time.Time {
	if len(c.timers) == 0 {
		return time.Time{}
	}
	return c.timers[0].at
}

func (c *Core) apply(ev Event) {
	if c.shares && (c.tellOwner(ev) || c.tooEarly(ev)) {
		return
	}
	switch e := ev.(type) {
	case *Received:
		c.hear(c.peers[e.From], e.Msg)
		c.received(e)
	case *Submit:
		c.submit(e)
	case *Result:
		c.result(e)
	case *Release:
		c.release(e)
	case *Borrow:
		c.borrow(e)
	case *Want:
		c.want(e)
	case *Put:
		c.put(e)
	case *Yield:
		c.yield(e)
	case *Started:
		c.started(e)
	case *Blocked:
		c.blocked(e)
	case *Unblocked:
		c.unblocked(e)
	case *Returned:
		c.returned(e)
	case *StreamTaken:
		c.streamTaken(e)
	case *StreamOpen:
		c.streamOpen(e)
	case *StreamClose:
		c.streamClose(e)
	case *ArgsReady:
		c.argsReady(e)
	case *ArgsFailed:
		c.argsFailed(e)
	case *MemoAnswer:
		c.memoAnswer(e)
	case *Cancel:
		c.cancel(e)
	default:
		c.applyRare(ev)
	}
}

func (c *Core) applyRare(ev Event) {
	switch e := ev.(type) {
	case *JobStarted:
		c.jobStarted(e)
	case *JobAttached:
		c.jobAttached(e)
	case *JobEnded:
		c.endJob(c.jobs[e.Job], e.Reason)
	case *ProcGone:
		c.procGone(e.Proc)
	case *ClassDefined:
		c.defineClass(e)
	case *WorkerStarted:
		c.workerStarted(e)
	case *WorkerFailed:
		c.workerFailed(e)
	case *WorkerGone:
		c.workerGone(e)
	case *KillForMemory:
		c.killForMemory(e)
	case *ObjectLost:
		c.objectLost(e)
	case *Drain:
		c.drain()
	case *PeerUp:
		c.shares = true
		c.peerUp(e)
	case *PeerDown:
		c.peerDown(e)
	case *PeerDead:
		c.ownerDead(e.Peer)
	case *JobShown:
		c.jobShown(e)
	case *HandOver:
		c.yieldJobs()
	case *PeerStats:
		c.peerStats(e)
	case *ProgramHere:
		if j := c.jobs[e.Job]; j != nil {
			j.program = true
		}
	case *StoreUsed:
		c.storeUsed = e.Used
	case *Copied:
		c.copied(e)
	case *Evicted:
		c.evicted(e)
	case *Named:
		c.named(e)
	case *FetchLost:
		c.fetchLost(e)
	case *Replicate:
		c.replicate(e)
	case *ownWord:
		c.ownWord(e)
	case *Tick:
	default:
		panic(fmt.Sprintf("sched: event of unknown type %T", ev))
	}
}

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

func (c *Core) warn(j *job, text string) { c.emit(&Warn{Job: j.id, Text: text}) }

func (c *Core) jobStarted(e *JobStarted) {
	if c.jobs[e.Job] != nil || c.procs[e.Driver] != nil {
		return
	}
	j := &job{
		id: e.Job, driver: e.Driver, detached: e.Detached, info: e.Info, builds: e.Platforms, program: true, byDef: map[string]*class{},
		tasks: newIndex[*task](e.Job), objects: newIndex[*object](e.Job), streams: map[raygo.TaskID]*stream{},
	}
	c.jobs[e.Job] = j
	c.addProc(e.Driver, j)
	if j.detached {
		c.guard(j)
	}
}

func (c *Core) jobAttached(e *JobAttached) {
	j := c.jobs[e.Job]
	if j == nil || j.ended {
		return
	}
	c.addProc(e.Driver, j)
	if j.owner != nil {
		c.send(j.owner, &ProcJoined{Proc: e.Driver, Job: j.id})
	}
}

// addProc attaches a process; one that is there already stays what it is.
func (c *Core) addProc(id raygo.ProcID, j *job) {
	if c.procs[id] != nil {
		return
	}
	c.procs[id] = &proc{id: id, job: j, refs: newIndex[int32](j.id)}
}

// procGone drops what a process held. A driver's end is its job's end, unless
// the job is detached: then the job itself keeps its driver's refs.
func (c *Core) procGone(id raygo.ProcID) {
	p := c.procs[id]
	if p == nil {
		return
	}
	if p.job.driver == id {
		if !p.job.detached {
			c.endJob(p.job, "its driver ended")
			return
		}
		c.dropWaiter(p)
		return
	}
	delete(c.procs, id)
	if p.peer != nil {
		p.peer.procs--
	}
	if o := p.job.owner; o != nil && p.peer == nil {
		c.send(o, &ProcLeft{Proc: id})
	}
	c.dropWaiter(p)
	for _, s := range p.job.streams {
		s.consumers = slices.DeleteFunc(s.consumers, func(have raygo.ProcID) bool { return have == id })
	}
	for _, oid := range sortedRefs(p.refs) {
		if o := p.job.objects.get(oid); o != nil {
			o.refs -= p.refs.get(oid)
			c.look(o)
		}
	}
}
