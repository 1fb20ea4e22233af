package swarm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/raygo/raygo/objects"
)

// client asks by hand.
type client struct {
	t    *testing.T
	conn net.Conn
	err  chan error // what Serve returned
}

func (m *member) client(t *testing.T, name string) *client {
	t.Helper()
	a, b := net.Pipe()
	c := &client{t: t, conn: a, err: make(chan error, 1)}
	go func() { c.err <- m.Serve(context.Background(), pipe{b}, name) }()
	t.Cleanup(func() { _ = a.Close() })
	return c
}

func (c *client) ask(id uint32, typ frameType, prio Priority, body func([]byte) []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(appendFrame(nil, head{typ: typ, prio: prio, id: id}, body)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) answer() (head, []byte) {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	var buf [headLen]byte
	h, err := readHead(c.conn, &buf)
	if err != nil {
		c.t.Fatal(err)
	}
	body := make([]byte, h.len)
	if _, err := io.ReadFull(c.conn, body); err != nil {
		c.t.Fatal(err)
	}
	return h, body
}

func blocksOfKey(k Key, first, n uint32) func([]byte) []byte {
	return askBlocks{key: k, spans: []span{{first, n}}}.append
}

// Requests are answered by priority and in order, each with its number.
func TestRequestsAreAnsweredInOrder(t *testing.T) {
	w := newWorld(t)
	a := w.join("a", nil, 64<<20)
	data := content(1, 4*objects.BlockSize+7)
	key := ObjectKey(a.put(object(1), data).Object)
	c := a.client(t, "c")
	c.ask(1, typeGetManifest, ForCopy, func(b []byte) []byte { return appendKey(b, key) })
	h, body := c.answer()
	m, err := parseManifest(body)
	if err != nil || h.typ != typeManifest || h.id != 1 || !m.CID().Equals(objects.SumBytes(data)) {
		t.Fatalf("got type %d, %v", h.typ, err)
	}
	// All of it is asked for before the first answer is read.
	c.ask(2, typeGetBlocks, ForCopy, blocksOfKey(key, 0, 3))
	c.ask(3, typeGetBlocks, ForGet, blocksOfKey(key, 3, 2))
	var order []int
	for range 5 {
		h, body := c.answer()
		r := reader{b: body}
		i := int(r.u32())
		if h.typ != typeBlock || m.VerifyBlock(i, r.b) != nil || h.id == 3 != (i >= 3) {
			t.Fatalf("got type %d, request %d, block %d", h.typ, h.id, i)
		}
		order = append(order, i)
	}
	// The first block may have been on its way already.
	if order[0] != 0 && order[0] != 3 || order[4] != 2 {
		t.Errorf("blocks came in the order %v: the urgent ones were not first", order)
	}
	c.ask(4, typeGetBlocks, ForGet, blocksOfKey(key, 4, 2))
	if h, _ := c.answer(); h.typ != typeBlock {
		t.Errorf("got type %d", h.typ)
	}
	if h, body := c.answer(); h.typ != typeMissing || !bytes.Equal(body, refusal{spans: []span{{5, 1}}}.append(nil)) {
		t.Errorf("block 5 of 5: type %d, % x", h.typ, body)
	}
	c.ask(5, typeHave, ForGet, func(b []byte) []byte { return appendKey(b, key) })
	if h, body := c.answer(); h.typ != typeHas || body[0] != 1 {
		t.Errorf("got type %d, % x", h.typ, body)
	}
	for id, typ := range map[uint32]frameType{6: typeHave, 7: typeGetManifest} {
		c.ask(id, typ, ForGet, func(b []byte) []byte { return appendKey(b, ObjectKey(object(9))) })
		if h, _ := c.answer(); h.typ != typeNotFound || h.id != id {
			t.Errorf("got type %d for request %d", h.typ, h.id)
		}
	}
}

// A peer that asks for too much at once is told to wait, and cut off if it goes on.
func TestAFloodIsCutOff(t *testing.T) {
	w := newWorld(t)
	a := w.join("a", func(c *Config) { c.Stall = 5 * time.Second }, 64<<20)
	data := content(1, 2*objects.BlockSize)
	key := ObjectKey(a.put(object(1), data).Object)
	c := a.client(t, "c")
	var sent error
	n := uint32(0)
	for ; sent == nil && n < 20_000; n++ { // nothing is read
		_ = c.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, sent = c.conn.Write(appendFrame(nil, head{typ: typeGetBlocks, id: n}, blocksOfKey(key, 0, 2)))
	}
	if err := <-c.err; !errors.Is(err, ErrBusy) {
		t.Errorf("after %d requests: %v, want ErrBusy", n, err)
	}
	if st := a.Stats().Totals; st.Floods != 1 || st.Refused < maxRefused || st.BytesOut > 2*objects.BlockSize {
		t.Errorf("%+v", st)
	}
	// Others are served all the same, and so is that peer when it behaves.
	for _, name := range []string{"d", "c"} {
		d := a.client(t, name)
		d.ask(1, typeGetBlocks, ForGet, blocksOfKey(key, 1, 1))
		if h, body := d.answer(); h.typ != typeBlock || !bytes.Equal(body[indexLen:], data[objects.BlockSize:]) {
			t.Errorf("%s got type %d", name, h.typ)
		}
	}
}

func TestStreamsOfOnePeerAreBounded(t *testing.T) {
	w := newWorld(t)
	a := w.join("a", nil, 64<<20)
	for range a.cfg.Streams {
		a.client(t, "c")
	}
	eventually(t, "streams", func() bool { return a.Stats().Serving == a.cfg.Streams })
	if err := <-a.client(t, "c").err; !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	a.client(t, "d")
	eventually(t, "another peer's stream", func() bool { return a.Stats().Serving == a.cfg.Streams+1 })
	a.Forget("c")
	eventually(t, "the end of c's streams", func() bool { return a.Stats().Serving == 1 })
}

// What is no request ends the stream before anything is allocated for it.
func TestRequestsThatAreNone(t *testing.T) {
	w := newWorld(t)
	a := w.join("a", func(c *Config) { c.BanFor = time.Nanosecond }, 64<<20)
	key := ObjectKey(object(1))
	for name, b := range map[string][]byte{
		"another version": {0, 0, 0, 0, 9, 3, 0, 0, 0, 0, 0, 1},
		"unknown type":    {0, 0, 0, 0, 1, 99, 0, 0, 0, 0, 0, 1},
		"too long":        {0xff, 0xff, 0xff, 0xff, 1, 1, 0, 0, 0, 0, 0, 1},
		"an answer":       appendFrame(nil, head{typ: typeHas, id: 1}, has{}.append),
		"no blocks":       appendFrame(nil, head{typ: typeGetBlocks, id: 1}, askBlocks{key: key}.append),
		"too many blocks": appendFrame(nil, head{typ: typeGetBlocks, id: 1}, askBlocks{key: key, spans: []span{{0, 200}, {300, 200}}}.append),
		"no key":          appendFrame(nil, head{typ: typeHave, id: 1}, func(b []byte) []byte { return append(b, 1, 0) }),
		"another CID":     appendFrame(nil, head{typ: typeHave, id: 1}, func(b []byte) []byte { return append(b, 2, 3, 1, 0x55, 0) }),
	} {
		c := a.client(t, "c")
		if _, err := c.conn.Write(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-c.err; !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A reader that takes nothing holds up neither others nor, for ever, a stream.
func TestASlowReaderHoldsUpNobody(t *testing.T) {
	w := newWorld(t)
	a, b := w.join("a", func(c *Config) { c.Stall = 100 * time.Millisecond }, 64<<20), w.join("b", nil, 64<<20)
	data := content(1, someBlocks)
	want := a.put(object(1), data)
	var slow []*client
	for range 3 {
		c := a.client(t, "slow")
		c.ask(1, typeGetBlocks, ForGet, blocksOfKey(ObjectKey(want.Object), 0, 12))
		slow = append(slow, c)
	}
	b.mustFetch(want, data)
	for _, c := range slow {
		if err := <-c.err; !isTimeout(err) {
			t.Errorf("the slow reader's stream ended with %v", err)
		}
	}
}

// An urgent fetch goes first when what may be in flight is used up.
func TestPriorityDecidesWhoIsServed(t *testing.T) {
	w := newWorld(t)
	a := w.join("a", nil, 128<<20)
	b := w.join("b", func(c *Config) { c.InFlight, c.Stall = 2*objects.BlockSize, 10*time.Second }, 128<<20)
	gate := make(chan struct{})
	a.meddle(onBlocks(func(n int, _ []byte) verdict {
		if n == 0 {
			<-gate
		}
		return pass
	}))
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ended []Priority
	for n, prio := range []Priority{ForCopy, ForCopy, ForArguments, ForGet} {
		want := a.put(object(uint32(n)), content(uint32(n), someBlocks))
		want.Priority = prio
		wg.Go(func() {
			if _, err := b.Fetch(testContext(t), want); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ended = append(ended, prio)
		})
		eventually(t, "the fetch", func() bool {
			b.budget.mu.Lock()
			defer b.budget.mu.Unlock()
			return len(b.budget.waiting) == n+1
		})
	}
	close(gate)
	wg.Wait()
	if len(ended) != 4 || ended[0] != ForGet || ended[1] != ForArguments {
		t.Errorf("they ended in the order %v", ended)
	}
}
