package raygo

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// TaskState is a task's place in its life, in the order in which they are
// reached. The names are those of Ray's state API.
type TaskState uint8

// The states of a task.
const (
	PendingArgsAvail      TaskState = iota // an argument's value does not exist yet
	PendingNodeAssignment                  // ready; waits for a place
	PendingArgsFetch                       // placed; its argument bytes are on their way
	SubmittedToWorker                      // handed to a worker that has not begun it
	Running                                // the function runs
	RunningInGet                           // the function waits in Get or on a Stream; its CPU is given back
	RunningInWait                          // the function waits in Wait; its CPU is given back
	Finished                               // ended with a value
	Failed                                 // ended with a failure
)

var stateNames = [...]string{
	"PENDING_ARGS_AVAIL", "PENDING_NODE_ASSIGNMENT", "PENDING_ARGS_FETCH", "SUBMITTED_TO_WORKER",
	"RUNNING", "RUNNING_IN_GET", "RUNNING_IN_WAIT", "FINISHED", "FAILED",
}

// String is the state's name in lists and JSON.
func (s TaskState) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "UNKNOWN"
}

// Done reports whether the state is final.
func (s TaskState) Done() bool { return s == Finished || s == Failed }

// StrategyKind says how a task's place is chosen.
type StrategyKind uint8

// The placement strategies.
const (
	StrategyDefault  StrategyKind = iota // arguments' place, then load
	StrategySpread                       // over as many peers as there are
	StrategyPack                         // on as few peers as will do
	StrategyAffinity                     // on the peer named
	StrategyLabels                       // on peers whose labels match
)

// Strategy is a placement strategy with its parameters.
type Strategy struct {
	Kind     StrategyKind `cbor:"1,keyasint,omitempty"`
	Peer     string       `cbor:"2,keyasint,omitempty"` // StrategyAffinity: a libp2p peer ID
	Soft     bool         `cbor:"3,keyasint,omitempty"` // StrategyAffinity: elsewhere if that peer cannot
	Selector string       `cbor:"4,keyasint,omitempty"` // StrategyLabels: "zone=eu,disk!=hdd"; after a semicolon one to fall back on
}

// Selectors are the label selectors of a strategy: the first one, and all in their
// order if there are several.
func Selectors(s *Strategy) (first string, all []string) {
	first, _, several := strings.Cut(s.Selector, ";")
	if several {
		all = strings.Split(s.Selector, ";")
	}
	return first, all
}

// Limits on what a task may ask for.
const (
	MaxReturns  = 100_000   // parts of one task
	MaxYields   = 1_000_000 // items of one generator
	MaxArgs     = 100_000   // refs in the arguments of one task, gathered ones counted one by one
	MaxCustom   = 32        // custom resources of one task
	InlineLimit = 100 << 10 // bytes of a value that travels in a frame; larger ones are memory of the store
)

// Options is everything about a task that does not change from call to call.
// The SDK fills it in, the scheduler reads it. Zero values are the defaults
// except where DefaultOptions says otherwise.
type Options struct {
	CPU    Quantity            `cbor:"1,keyasint"`
	GPU    Quantity            `cbor:"2,keyasint,omitempty"`
	Memory int64               `cbor:"3,keyasint,omitempty"` // bytes, for admission only
	Custom map[string]Quantity `cbor:"4,keyasint,omitempty"`

	Strategy Strategy `cbor:"5,keyasint,omitempty"`

	MaxRetries      int           `cbor:"6,keyasint"`           // system failures; -1 without end
	RetryExceptions bool          `cbor:"7,keyasint,omitempty"` // retry every application failure
	RetryOn         []string      `cbor:"8,keyasint,omitempty"` // retry application failures of these registered names
	RetryBase       time.Duration `cbor:"9,keyasint,omitempty"` // first backoff; 0: at once
	RetryMax        time.Duration `cbor:"10,keyasint,omitempty"`

	Timeout        time.Duration `cbor:"11,keyasint,omitempty"` // per attempt; 0: none
	PendingTimeout time.Duration `cbor:"12,keyasint,omitempty"` // waiting for a place; 0: none
	Priority       int           `cbor:"13,keyasint,omitempty"`

	NumReturns        int    `cbor:"14,keyasint"`           // 1, or parts of a composite (see Parts); 0: no result is kept
	Generator         bool   `cbor:"15,keyasint,omitempty"` // results are yielded
	FixedYields       bool   `cbor:"16,keyasint,omitempty"` // generator: exactly NumReturns items, ready together at the end
	BackpressureItems int    `cbor:"17,keyasint,omitempty"` // generator: unconsumed items before the producer waits
	BackpressureBytes int64  `cbor:"18,keyasint,omitempty"`
	NoEvents          bool   `cbor:"19,keyasint,omitempty"` // leave no task events
	Name              string `cbor:"20,keyasint,omitempty"` // what is shown; "" is the function's own

	Env      map[string]string `cbor:"21,keyasint,omitempty"`
	MaxCalls int               `cbor:"22,keyasint,omitempty"` // worker is replaced after so many; 0: never
	Memoize  bool              `cbor:"23,keyasint,omitempty"`

	OnePart bool `cbor:"24,keyasint,omitempty"` // NumReturns is 1, and that is a part of a composite
}

// Parts is of how many objects besides its own the result of a task is composed.
func (o *Options) Parts() int {
	if o.NumReturns > 1 || o.OnePart {
		return o.NumReturns
	}
	return 0
}

// DefaultOptions are the options of a task that sets none.
func DefaultOptions() Options {
	return Options{CPU: Unit, MaxRetries: 3, NumReturns: 1, RetryMax: 30 * time.Second}
}

// Default backpressure of a generator that sets none.
const (
	DefaultBackpressureItems = 64
	DefaultBackpressureBytes = 16 << 20
)

// EnvKey is a canonical text of an environment: equal maps have equal keys.
// Workers are not shared across keys.
func EnvKey(env map[string]string) string {
	if len(env) == 0 {
		return ""
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(env)) {
		b.WriteString(k)
		b.WriteByte('=')
		b.WriteString(env[k])
		b.WriteByte(0)
	}
	return b.String()
}
