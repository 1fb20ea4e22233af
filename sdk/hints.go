package raygo

import (
	"fmt"
	"hash/maphash"
	"os"
	"strings"
	"sync"
	"time"
	"unsafe"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// HintsEnv names the environment variable that silences hints when it is "off".
const HintsEnv = "RAYGO_HINTS"

// When a habit is one.
const (
	hintWaits = 50                   // calls waited for one by one
	hintRun   = 5 * time.Millisecond // that took at least so long each
	hintSame  = 10                   // calls with one large value
)

// hints watch for habits that cost a program most of what raygo could give it.
// Each is told once a session, on stderr, and watched for only where the work
// that it costs is being done anyway.
type hints struct {
	mu   sync.Mutex
	told map[string]bool

	last  uint32 // sequence number of the last call that was waited for
	waits int    // how many were, one by one, without another call between
	since time.Time

	data  uintptr // of the last large argument; never followed
	size  int
	sum   uint64 // of samples of it: a buffer that is filled anew is another value
	times int
}

var hintSeed = maphash.MakeSeed()

// sample is a hash of the ends and the middle of b.
func sample(b []byte) uint64 {
	const n = 1 << 10
	var h maphash.Hash
	h.SetSeed(hintSeed)
	for _, at := range []int{0, len(b) / 2, len(b) - n} {
		_, _ = h.Write(b[max(at, 0):min(at+n, len(b))])
	}
	return h.Sum64()
}

// tell prints a hint once. mu is held.
func (h *hints) tell(about, format string, args ...any) {
	if h.told[about] || os.Getenv(HintsEnv) == "off" {
		return
	}
	if h.told == nil {
		h.told = map[string]bool{}
	}
	h.told[about] = true
	logMutex.Lock()
	defer logMutex.Unlock()
	fmt.Fprintf(os.Stderr, "(raygo hint) "+strings.TrimSpace(format)+"\n", args...)
}

// waiting notes that a Get begins to wait for id, when next is the sequence
// number of the call to come.
func (h *hints) waiting(id words.ObjectID, own words.ProcID, next uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := id.Task()
	seq := t.Seq()
	switch {
	case t.Proc() != own || seq+1 != next || seq != h.last+1:
		h.waits = 0
	default:
		if h.waits++; h.waits == 1 {
			h.since = time.Now()
		}
	}
	h.last = seq
	if h.waits < hintWaits {
		return
	}
	if each := time.Since(h.since) / time.Duration(h.waits); each >= hintRun {
		h.tell("waits", "the last %d calls were each waited for before the next was made, so they ran one after the other: make all calls, then Get", h.waits)
	}
	h.waits = 0
}

// large notes that a call carries b by value.
func (h *hints) large(function string, b []byte) {
	at, sum := uintptr(unsafe.Pointer(unsafe.SliceData(b))), sample(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	if at != h.data || len(b) != h.size || sum != h.sum {
		h.data, h.size, h.sum, h.times = at, len(b), sum, 0
	}
	if h.times++; h.times == hintSame {
		h.tell("large", "%d calls of %s carried the same %d bytes, each a copy: Put the value once and pass the ref", h.times, shortFunction(function), len(b))
	}
}

// leaked notes that a ref was encoded by other means than raygo's calls.
func (h *hints) leaked(id words.ObjectID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tell("leaked", "ref %s was encoded outside of raygo's calls: nobody can know when it is done with, so its object stays until Release or the end of the job; pass refs as arguments and results", id)
}

// manyAtOnce notes that values are about to be got together, of which those
// beyond the budget are copied into this program's heap.
func (h *hints) manyAtOnce(n int, at func(int) *handle, budget uint64) {
	var size uint64
	for i := range n {
		if hd := at(i); hd != nil {
			if o := hd.e.out.Load(); o != nil && o.kind == ipc.ValueElsewhere {
				size += o.size
			}
		}
	}
	if size <= budget {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tell("many", "%d values of %d MiB together are got at once, and most of them copied: take them in batches, or AsCompleted", n, size>>20)
}
