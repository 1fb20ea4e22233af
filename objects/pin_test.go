package objects

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/raygo/raygo"
)

// behaviour 162: tasks with arguments of 60 % of the store each run one after
// the other, and each argument is restored once per task at most.
func TestTwoLargeSetsDoNotThrash(t *testing.T) {
	s := runStore(t, Config{Limit: 10 * mib, SpillDir: t.TempDir()})
	openJob(t, s, 1)
	var sets [2][]raygo.ObjectID
	for i := range uint32(12) {
		put(t, s, object(1, i), content(i, mib))
		sets[i/6] = append(sets[i/6], object(1, i))
	}
	const rounds = 5
	var wg sync.WaitGroup
	for i, set := range sets {
		wg.Go(func() {
			for range rounds {
				for k, e := range pinOne(t, s, set...) {
					checkArena(t, s, 1, e, content(uint32(6*i+k), mib))
				}
				s.Unpin(set...)
			}
		})
	}
	wg.Wait()
	if u := s.Usage(); u.Restored > 2*rounds*6*mib || u.Pinned != 0 {
		t.Errorf("%d MiB restored for %d sets of 6 MiB: %+v", u.Restored/mib, 2*rounds, u)
	}
	checkBooks(t, s)
}

// behaviour 162: Pins that wait go in order, and hold nothing while they wait.
func TestPinsWaitInOrder(t *testing.T) {
	s := runStore(t, Config{Limit: 4 * mib, SpillDir: t.TempDir()})
	openJob(t, s, 1)
	for i := range uint32(4) {
		put(t, s, object(1, i), content(i, 3*mib))
	}
	pinOne(t, s, object(1, 0))
	order := make(chan uint32, 3)
	var wg sync.WaitGroup
	for i := uint32(1); i <= 3; i++ {
		wg.Go(func() {
			pinOne(t, s, object(1, i))
			order <- i
			s.Unpin(object(1, i))
		})
		eventually(t, "a Pin that waits", func() bool { return s.Usage().Waiting == int(i) })
	}
	if u := s.Usage(); u.Pinned != 3*mib {
		t.Errorf("waiting Pins hold something: %+v", u)
	}
	s.Unpin(object(1, 0))
	wg.Wait()
	for want := uint32(1); want <= 3; want++ {
		if got := <-order; got != want {
			t.Errorf("Pin %d came before Pin %d", got, want)
		}
	}
}

// A task that runs gets room for its result although a Pin waits for more.
func TestWritersGoBeforeWaitingPins(t *testing.T) {
	s := runStore(t, Config{Limit: 10 * mib, SpillDir: t.TempDir(), PutWait: 5 * time.Second})
	openJob(t, s, 1)
	put(t, s, object(1, 1), content(1, 6*mib))
	put(t, s, object(1, 2), content(2, 6*mib))
	pinOne(t, s, object(1, 1)) // the running task's argument
	done := make(chan struct{})
	go func() {
		defer close(done)
		pinOne(t, s, object(1, 2))
	}()
	eventually(t, "a Pin that waits", func() bool { return s.Usage().Waiting == 1 })
	put(t, s, object(1, 3), content(3, 2*mib)) // its result
	s.Unpin(object(1, 1))
	<-done
	s.Unpin(object(1, 2))
	checkBooks(t, s)
}

func TestPinIsGivenUp(t *testing.T) {
	s := runStore(t, Config{Limit: 4 * mib, SpillDir: t.TempDir()})
	openJob(t, s, 1)
	put(t, s, object(1, 1), content(1, 3*mib))
	put(t, s, object(1, 2), content(2, 3*mib))
	pinOne(t, s, object(1, 2))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Pin(ctx, []raygo.ObjectID{object(1, 1)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("pin without room: %v", err)
	}
	ended := make(chan error)
	go func() {
		_, err := s.Pin(context.Background(), []raygo.ObjectID{object(1, 1)})
		ended <- err
	}()
	eventually(t, "a Pin that waits", func() bool { return s.Usage().Waiting == 1 })
	s.CloseJob(jobID(1))
	if err := <-ended; !errors.Is(err, ErrNoJob) {
		t.Errorf("pin of a closed job: %v", err)
	}
	waitUsed(t, s, 0)
	checkBooks(t, s)
}

// behaviour 157: one I/O worker, spills and restores at once, writers and
// readers, deletions and jobs that end: nothing waits for ever.
func TestOneWorkerDoesNotDeadlock(t *testing.T) {
	for _, workers := range []int{1, 3} {
		s := runStore(t, Config{Limit: 3 * mib, SpillDir: t.TempDir(), IOWorkers: workers, FuseBytes: mib, Idle: 5 * time.Millisecond, PutWait: 20 * time.Second})
		var wg sync.WaitGroup
		for job := 1; job <= 6; job++ {
			wg.Go(func() { churn(t, s, job) })
		}
		wg.Wait()
		waitUsed(t, s, 0)
		eventually(t, "all spill files removed", func() bool { return s.Usage().SpillFiles == 0 })
		if u := s.Usage(); u.Objects != 0 || u.Pinned != 0 || u.Writing != 0 || u.Waiting != 0 || u.Spilled != 0 {
			t.Errorf("after all jobs have ended: %+v", u)
		}
		checkBooks(t, s)
	}
}

// churn is a job that puts, pins, reads and deletes at random and checks what it sees.
func churn(t *testing.T, s *Store, job int) {
	openJob(t, s, job)
	defer s.CloseJob(jobID(job))
	draw := rand.New(rand.NewPCG(1, uint64(job)))
	sizes := map[uint32]int{}
	for i := range uint32(40) {
		sizes[i] = (100 + draw.IntN(500)) * kib
		put(t, s, object(job, i), content(i, sizes[i]))
		var have []uint32
		for k := range sizes {
			have = append(have, k)
		}
		k := have[draw.IntN(len(have))]
		switch draw.IntN(4) {
		case 0:
			s.Delete(object(job, k))
			delete(sizes, k)
		case 1:
			if got := readAll(t, s, object(job, k)); SumBytes(got) != SumBytes(content(k, sizes[k])) {
				t.Errorf("object %d of job %d reads otherwise", k, job)
			}
		case 2:
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(draw.IntN(3000))*time.Microsecond)
			if _, err := s.Pin(ctx, []raygo.ObjectID{object(job, k)}); err == nil {
				s.Unpin(object(job, k))
			}
			cancel()
		case 3:
			l := have[draw.IntN(len(have))]
			set := []raygo.ObjectID{object(job, k), object(job, l), object(job, k)}
			e := pinOne(t, s, set...)
			checkArena(t, s, job, e[0], content(k, sizes[k]))
			checkArena(t, s, job, e[1], content(l, sizes[l]))
			s.Unpin(set...)
		}
	}
}
