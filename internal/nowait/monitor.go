package nowait

import (
	"sync/atomic"
	"time"
)

// within is how soon the runtime's monitor looks at this process, whatever the
// scheduler was not told of.
const within = 20 * time.Millisecond

// looksSoon is that of this process: there is one runtime.
var looksSoon monitor

// monitor keeps the runtime's monitor thread from sleeping for long. It sleeps at
// most until the process's next timer is due: so there is one that is due soon, as
// long as sockets are used. The first call after a pause finds none, and is told
// of; a process that does nothing is not woken.
type monitor struct {
	armed atomic.Bool // there is a timer
	used  atomic.Bool // since it was set
}

// quiet reports whether a call need not be told of.
func (m *monitor) quiet() bool {
	m.used.Store(true) // before armed is read: due reads them the other way round
	if m.armed.Load() {
		return true
	}
	if m.armed.CompareAndSwap(false, true) {
		time.AfterFunc(within, m.due)
	}
	return false
}

// due is when the timer has run out.
func (m *monitor) due() {
	m.armed.Store(false)
	if m.used.Swap(false) && m.armed.CompareAndSwap(false, true) {
		time.AfterFunc(within, m.due)
	}
}
