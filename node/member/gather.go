package member

import (
	"net"
	"sync"
)

const (
	maxRecord = 16 << 10  // what TLS puts into one record at most
	maxGather = 288 << 10 // bytes of records that wait for each other
)

// gather is a connection below TLS. TLS writes each record by itself, a system
// call and mostly a wake-up of the other end for every 16 KiB; while held the
// records wait for each other and go out as one write.
type gather struct {
	net.Conn // of package nowait, if it is a socket

	mu   sync.Mutex
	held bool
	buf  *[]byte // nil while nothing waits
	err  error   // of a write that TLS was told had succeeded
}

var gatherPool = sync.Pool{New: func() any { b := make([]byte, 0, maxGather); return &b }}

// hold has what is written wait for send.
func (g *gather) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = true
}

// send writes what waits. After an error nothing more can be written: the other
// end would miss records.
func (g *gather) send() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = false
	g.flush()
	return g.err
}

func (g *gather) flush() {
	if g.buf == nil {
		return
	}
	if g.err == nil {
		_, g.err = g.Conn.Write(*g.buf)
	}
	*g.buf = (*g.buf)[:0]
	gatherPool.Put(g.buf)
	g.buf = nil
}

// Write is the connection's, in the order of the calls, or waits for send.
func (g *gather) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.buf != nil && len(*g.buf)+len(b) > maxGather {
		g.flush()
	}
	if g.err != nil {
		return 0, g.err
	}
	if !g.held || len(b) > maxGather {
		return g.Conn.Write(b)
	}
	if g.buf == nil {
		g.buf = gatherPool.Get().(*[]byte)
	}
	*g.buf = append(*g.buf, b...)
	return len(b), nil
}
