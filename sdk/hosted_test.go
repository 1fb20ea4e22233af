package raygo

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

var hostedTwice = Func1(twiceHosted)

func twiceHosted(ctx context.Context, n int) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(time.Hour): // virtual
	}
	return 2 * n, nil
}

// A worker inside the process runs tasks in virtual time and leaves nothing.
func TestServeOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer, mine := ipc.Pipe(0)
		served := make(chan error, 1)
		go func() { served <- ServeOn(t.Context(), mine) }()
		kind, _, err := peer.Read()
		if err != nil || kind != ipc.TypeHello {
			t.Fatal(kind, err)
		}
		arena, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer arena.Close()
		job := words.NewJobID()
		if err := peer.SendWelcome(&ipc.Welcome{Version: 1, Job: job, Proc: 7, Peer: "p", ArenaSize: 1 << 20, InlineLimit: words.InlineLimit, FirstSeq: 1}, arena); err != nil {
			t.Fatal(err)
		}
		task := words.NewTaskID(job, 1, 1)
		def := ipc.Class{Function: hostedTwice.options.f.name, Signature: hostedTwice.options.f.sig, Options: words.DefaultOptions()}
		args := ipc.AppendArgs(nil, []ipc.Arg{{Kind: ipc.ArgInline, Bytes: []byte{21}}}, nil)
		err = peer.Send(func(b []byte) []byte {
			b = ipc.AppendNumbered(b, ipc.TypeClass, 3, &def)
			return ipc.AppendExecute(b, &ipc.Execute{Task: task, Award: 1, Class: 3, Args: ipc.Args{Raw: args}})
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		kind, p, err := peer.Read()
		if err != nil || kind != ipc.TypeResult {
			t.Fatal(kind, err)
		}
		if took := time.Since(began); took < time.Hour {
			t.Fatalf("an hour of virtual time took %s", took)
		}
		r, err := ipc.ParseResult(p)
		if err != nil || r.Status != ipc.StatusOK || r.Outcomes[0].Value.Bytes[1] != 42 {
			t.Fatalf("%+v %v", r, err)
		}
		if err := peer.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}
