package behaviours

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/ipc"
)

var hog = raygo.Func2(hogFn)

// hogFn says which attempt of it runs and holds on until it is told to end.
func hogFn(ctx context.Context, dir, name string) (int, error) {
	attempt := raygo.Info(ctx).Attempt
	if err := os.WriteFile(filepath.Join(dir, name+"-"+string(rune('0'+attempt))), nil, 0o600); err != nil {
		return 0, err
	}
	for ctx.Err() == nil && !fileExists(filepath.Join(dir, "end")) {
		time.Sleep(time.Millisecond)
	}
	return attempt, ctx.Err()
}

// pressure is a machine that is short of memory for one look at it whenever the
// test says so.
type pressure struct{ high atomic.Bool }

func (m *pressure) probe() (total, available int64) {
	if m.high.Swap(false) {
		return 100 << 30, 1 << 30
	}
	return 100 << 30, 50 << 30
}

func underPressure(t *testing.T) (*peertest.Peer, *pressure) {
	t.Helper()
	m := &pressure{}
	p := peertest.Start(t, node.Config{CPUs: 4, MemoryProbe: m.probe, MemoryCheck: 5 * time.Millisecond})
	return p, m
}

func oomKills(t *testing.T, p *peertest.Peer) int {
	t.Helper()
	var r ipc.MemoryReport
	p.Ask(t, &ipc.Query{Op: ipc.QueryMemory}, &r)
	return r.Host.OOMKills
}

// spike raises the pressure until one more worker was killed.
func (m *pressure) spike(t *testing.T, p *peertest.Peer) {
	t.Helper()
	before := oomKills(t, p)
	m.high.Store(true)
	eventually(t, "a kill", func() bool { return oomKills(t, p) > before })
}

// behaviour 165, behaviour 168, behaviour 170
func TestMemoryPressureTakesTheNewest(t *testing.T) {
	p, m := underPressure(t)
	ctx := p.Driver()
	dir := t.TempDir()
	older := hog.Options(raygo.MaxRetries(1)).Remote(ctx, dir, "older")
	eventually(t, "the older begins", func() bool { return fileExists(filepath.Join(dir, "older-0")) })
	newer := hog.Options(raygo.MaxRetries(1)).Remote(ctx, dir, "newer")
	eventually(t, "the newer begins", func() bool { return fileExists(filepath.Join(dir, "newer-0")) })
	// More kills than MaxRetries: they have a budget of their own.
	for _, next := range []string{"newer-1", "newer-2", "newer-3"} {
		m.spike(t, p)
		eventually(t, next, func() bool { return fileExists(filepath.Join(dir, next)) })
	}
	if err := os.WriteFile(filepath.Join(dir, "end"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := raygo.Get(ctx, older)
	if err != nil || a != 0 {
		t.Fatalf("the older: attempt %d, %v", a, err)
	}
	if b, err := raygo.Get(ctx, newer); err != nil || b < 3 {
		t.Fatalf("the newer: attempt %d, %v", b, err)
	}
	var rows ipc.Rows[ipc.TaskRow]
	p.Ask(t, &ipc.Query{Op: ipc.QueryTasks, Filters: []string{"error_type=OUT_OF_MEMORY"}}, &rows)
	if rows.Total != oomKills(t, p) {
		t.Fatalf("%d attempts say that they were killed, %d were", rows.Total, oomKills(t, p))
	}
}

// behaviour 166, behaviour 167, behaviour 169
func TestMemoryPressureSparesWhatCannotBeRetried(t *testing.T) {
	p, m := underPressure(t)
	ctx := p.Driver()
	dir := t.TempDir()
	retriable := hog.Remote(ctx, dir, "retriable")
	eventually(t, "the retriable begins", func() bool { return fileExists(filepath.Join(dir, "retriable-0")) })
	once := hog.Options(raygo.MaxRetries(0)).Remote(ctx, dir, "once")
	eventually(t, "the other begins", func() bool { return fileExists(filepath.Join(dir, "once-0")) })
	m.spike(t, p)
	eventually(t, "the retriable runs again", func() bool { return fileExists(filepath.Join(dir, "retriable-1")) })
	if _, err := raygo.Cancel(ctx, retriable); err != nil {
		t.Fatal(err)
	}
	m.spike(t, p)
	_, err := raygo.Get(ctx, once)
	if !errors.Is(err, raygo.ErrOutOfMemory) || !strings.Contains(err.Error(), "hog") {
		t.Fatalf("get: %v", err)
	}
	if fileExists(filepath.Join(dir, "once-1")) {
		t.Fatal("it was retried")
	}
}
