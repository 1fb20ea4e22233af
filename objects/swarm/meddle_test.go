package swarm

import (
	"context"
	"io"
	"net"
	"sync"
)

// verdict is what becomes of a frame of a holder that is not what it should be.
type verdict uint8

const (
	pass     verdict = iota
	swallow          // it is never sent, and the stream goes on
	hang             // nothing is sent from here on
	cut              // the stream breaks in the middle of the frame
	oversize         // its length is a lie, too large
	shorten          // it is sent without its last byte, as if it had been so
	babble           // bytes that are no frame
)

// meddle puts something between a holder and those whom it serves, which sees,
// and may change, every answer.
func (m *member) meddle(judge func(h head, body []byte) verdict) {
	m.serve = func(ctx context.Context, st Stream, from string) error {
		a, b := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() { _ = m.Serve(ctx, pipe{b}, from) })
		wg.Go(func() { // what is asked
			_, _ = io.Copy(a, st)
			_ = a.Close()
		})
		relay(a, st, judge)
		_ = a.Close()
		_ = st.Reset()
		wg.Wait()
		return nil
	}
}

func relay(from io.Reader, st Stream, judge func(head, []byte) verdict) {
	var buf [headLen]byte
	for {
		h, err := readHead(from, &buf)
		if err != nil {
			return
		}
		body := make([]byte, h.len)
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		frame := func() []byte { return append(h.append(nil), body...) }
		out := []byte(nil)
		switch judge(h, body) {
		case pass:
			out = frame()
		case swallow:
			continue
		case hang:
			_, _ = io.Copy(io.Discard, from)
			return
		case cut:
			_, _ = st.Write(frame()[:headLen+h.len/2])
			return
		case oversize:
			h.len = 1 << 30
			out = frame()
		case shorten:
			body, h.len = body[:max(0, h.len-1)], max(0, h.len-1)
			out = frame()
		case babble:
			out = content(99, 64)
		}
		if _, err := st.Write(out); err != nil {
			return
		}
	}
}

// onBlocks judges blocks alone, by the count of those before.
func onBlocks(judge func(n int, block []byte) verdict) func(head, []byte) verdict {
	var mu sync.Mutex
	n := -1
	return func(h head, body []byte) verdict {
		if h.typ != typeBlock {
			return pass
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		return judge(n, body[indexLen:])
	}
}
