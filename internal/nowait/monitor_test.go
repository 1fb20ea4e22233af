package nowait

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A call that is not told of has a timer that is due soon after it, always.
func TestMonitorLooksSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m monitor
		if m.quiet() {
			t.Error("the first call was not told of")
		}
		for i := range 1000 {
			time.Sleep(within / 7)
			if !m.quiet() {
				t.Fatalf("call %d was told of", i)
			}
			if !m.armed.Load() {
				t.Fatalf("after call %d nothing is due", i)
			}
		}
		time.Sleep(2 * within) // the timer finds that there was a call, and then none
		synctest.Wait()
		if m.armed.Load() {
			t.Error("a process that does nothing is woken")
		}
		if m.quiet() {
			t.Error("the first call after a pause was not told of")
		}
		time.Sleep(2 * within)
	})
}

// Many calls at the same time as the timer runs out.
func TestMonitorIsNeverWithoutTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m monitor
		for range 200 {
			var calls sync.WaitGroup
			var quiet atomic.Bool
			for range 8 {
				calls.Go(func() {
					time.Sleep(within)
					if m.quiet() {
						quiet.Store(true)
					}
				})
			}
			calls.Wait()
			synctest.Wait()
			if quiet.Load() && !m.armed.Load() {
				t.Fatal("a call that was not told of has nothing due after it")
			}
		}
		time.Sleep(3 * within)
	})
}
