package peertest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/raygo/raygo/sdk/ipc"
)

// Ask puts a question to the peer as a command does and decodes the answer.
func (p *Peer) Ask(t testing.TB, q *ipc.Query, body any) {
	t.Helper()
	if err := p.Asked(q, body); err != nil {
		t.Fatalf("ask %s: %v", q.Op, err)
	}
}

// Asked is Ask that returns the refusal.
func (p *Peer) Asked(q *ipc.Query, body any) error {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: p.Ready.Socket, Net: "unix"})
	if err != nil {
		return err
	}
	conn := ipc.NewConn(c, 0)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, _, err := conn.Handshake(ctx, &ipc.Hello{Role: ipc.RoleCommand}); err != nil {
		return err
	}
	if err := conn.Send(func(b []byte) []byte { return ipc.AppendNumbered(b, ipc.TypeQuery, 1, q) }); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		typ, b, err := conn.Read()
		if err != nil {
			return err
		}
		if typ != ipc.TypeAnswer {
			continue
		}
		var a ipc.Answer
		if _, err := ipc.ParseNumbered(b, &a); err != nil {
			return err
		}
		if a.Failure != nil {
			return a.Failure
		}
		return ipc.Unmarshal(a.Body, body)
	}
}
