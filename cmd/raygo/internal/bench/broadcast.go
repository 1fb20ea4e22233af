package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	words "github.com/raygo/raygo"
	"github.com/raygo/raygo/cmd/raygo/internal/ask"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

// broadcast has a value of the driver's read by a task on each of n peers at
// once. The second row is what the driver's peer sent for it.
func broadcast(n int, o *Options) []workload {
	size := 256 << 20
	switch {
	case o.Quick:
		size = 32 << 20
	case o.Full:
		size = 1 << 30
	}
	name := fmt.Sprintf("broadcast_%s_%d_peers", mib(size), n)
	copies := 0.0
	return []workload{
		{
			name: name, what: "a value of the driver's, read and summed by a task on each peer at once; bytes of all copies", unit: "GB/s", higher: true, most: 3,
			beside: "copy of one over a bare libp2p stream",
			run: func(ctx context.Context, st *stage) (gbs float64, err error) {
				w, err := st.world(ctx, n)
				if err != nil {
					return 0, err
				}
				gbs, copies, err = w.broadcast(ctx, size)
				return gbs, err
			},
			floor: func(ctx context.Context, st *stage) (float64, error) { return st.bareCopy(ctx, size) },
		},
		{
			name: name + "_source", what: "what the driver's peer sent in the last of those, in copies", unit: "copies", most: 1,
			target: target{value: 2.5},
			run:    func(context.Context, *stage) (float64, error) { return copies, nil },
		},
	}
}

func mib(size int) string {
	if size >= 1<<30 {
		return strconv.Itoa(size>>30) + "GiB"
	}
	return strconv.Itoa(size>>20) + "MiB"
}

// broadcast measures one, and how many copies left the driver's peer.
func (w *world) broadcast(ctx context.Context, size int) (gbs, copies float64, err error) {
	value := make([]byte, size)
	for i := 0; i < size; i += 512 {
		value[i] = byte(i >> 9 * 7)
	}
	want, err := checksum(ctx, value)
	if err != nil {
		return 0, 0, err
	}
	ref, err := raygo.Put(w.ctx, value)
	if err != nil {
		return 0, 0, err
	}
	defer raygo.Release(ref)
	if err := w.named(ctx, ref.ID()); err != nil {
		return 0, 0, err
	}
	source := w.fleet.Peers()[0]
	before, err := served(ctx, source)
	if err != nil {
		return 0, 0, err
	}
	gbs, err = gbPerSecond(size*len(w.peers), func() error {
		refs := make([]raygo.Ref[uint32], len(w.peers))
		for i, p := range w.peers {
			refs[i] = checksumFunc.Options(on(p)).RemoteArgs(w.ctx, ref)
		}
		sums, err := raygo.GetAll(w.ctx, refs)
		if err != nil {
			return err
		}
		for _, s := range sums {
			if s != want {
				return errWrong
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	after, err := served(ctx, source)
	return gbs, float64(after-before) / float64(size), err
}

// nameTime bounds how long an object may take to get its name.
const nameTime = 30 * time.Second

// named waits until an object has its CID, which is made behind the put: what is
// measured is the way of the bytes. The question may be there before the put is,
// since it goes by a connection of its own: no object yet is not a failure.
func (w *world) named(ctx context.Context, object string) error {
	ctx, cancel := context.WithTimeout(ctx, nameTime)
	defer cancel()
	c, err := ask.Dial(ctx, w.fleet.Peers()[0].Address)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		rows, err := ask.List[ipc.ObjectRow](ctx, c, ipc.Query{Op: ipc.QueryObject, ID: object})
		var f *words.Failure
		if err != nil && (!errors.As(err, &f) || f.Code != words.CodeObjectFreed) {
			return fmt.Errorf("ask for the name of an object: %w", err)
		}
		for i := range rows.Rows {
			if rows.Rows[i].CID != "" {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("an object has no CID after " + nameTime.String())
		case <-time.After(settleStep):
		}
	}
}

// joinWorkload starts one more peer, for whose custom resource a task waits.
func joinWorkload() workload {
	made := 0
	return workload{
		name: "join_to_first_task", what: "a new peer's start until a task that waits for it has a result, the program brought there", unit: "ms", most: 5,
		target: target{value: 2000}, beside: "fork and exec of this binary to its first message",
		run: func(ctx context.Context, st *stage) (float64, error) {
			w, err := st.world(ctx, 2)
			if err != nil {
				return 0, err
			}
			made++
			resource := fmt.Sprint("newcomer", made)
			ref := smallFunc.Options(raygo.Resource(resource, 1)).Remote(w.ctx, 3)
			return millis(func() error {
				p, err := w.fleet.Add(ctx, resource)
				if err != nil {
					return err
				}
				defer w.fleet.Remove(p)
				if v, err := raygo.Get(w.ctx, ref); err != nil || v != 3 {
					return wrong(err)
				}
				return nil
			})
		},
		floor: execFloor,
	}
}
