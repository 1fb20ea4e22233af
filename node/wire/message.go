package wire

import (
	"fmt"

	"github.com/raygo/raygo/sched"
)

// kindOf is the kind of a core's message; 0 for one that is not of sched.
func kindOf(m sched.Message) Kind {
	switch m.(type) {
	case *sched.Assign:
		return KindAssign
	case *sched.Done:
		return KindDone
	case *sched.Call:
		return KindCall
	case *sched.Bid:
		return KindBid
	case *sched.FromProc:
		return KindFromProc
	case *sched.ToProc:
		return KindToProc
	case *sched.Yielded:
		return KindYielded
	case *sched.CreditTask:
		return KindCreditTask
	case *sched.Free:
		return KindFree
	case *sched.Holds:
		return KindHolds
	case *sched.Drops:
		return KindDrops
	case *sched.NamedAs:
		return KindNamedAs
	case *sched.FreeObjects:
		return KindFreeObjects
	}
	return kindOfRare(m)
}

func kindOfRare(m sched.Message) Kind {
	switch m.(type) {
	case *sched.JobOpen:
		return KindJobOpen
	case *sched.JobOver:
		return KindJobOver
	case *sched.ClassOf:
		return KindClassOf
	case *sched.StopTask:
		return KindStopTask
	case *sched.RecallTasks:
		return KindRecallTasks
	case *sched.ProcJoined:
		return KindProcJoined
	case *sched.ProcLeft:
		return KindProcLeft
	case *sched.CopyObject:
		return KindCopyObject
	case *sched.Leaving:
		return KindLeaving
	case *sched.RollCall:
		return KindRollCall
	case *sched.Present:
		return KindPresent
	}
	return kindOfGuard(m)
}

func kindOfGuard(m sched.Message) Kind {
	switch m.(type) {
	case *sched.GuardedBy:
		return KindGuardedBy
	case *sched.Guard:
		return KindGuard
	case *sched.Guarded:
		return KindGuarded
	case *sched.Safe:
		return KindSafe
	case *sched.TakeNow:
		return KindTakeNow
	case *sched.JobTaken:
		return KindJobTaken
	case *sched.Rejoin:
		return KindRejoin
	}
	return 0
}

// fresh makes the message of a kind, to decode into; nil for a kind that is no
// core's message.
func fresh(k Kind) sched.Message {
	makers := [...]func() sched.Message{
		KindJobOpen:     func() sched.Message { return new(sched.JobOpen) },
		KindJobOver:     func() sched.Message { return new(sched.JobOver) },
		KindClassOf:     func() sched.Message { return new(sched.ClassOf) },
		KindCall:        func() sched.Message { return new(sched.Call) },
		KindBid:         func() sched.Message { return new(sched.Bid) },
		KindAssign:      func() sched.Message { return new(sched.Assign) },
		KindFree:        func() sched.Message { return new(sched.Free) },
		KindDone:        func() sched.Message { return new(sched.Done) },
		KindYielded:     func() sched.Message { return new(sched.Yielded) },
		KindStopTask:    func() sched.Message { return new(sched.StopTask) },
		KindRecallTasks: func() sched.Message { return new(sched.RecallTasks) },
		KindCreditTask:  func() sched.Message { return new(sched.CreditTask) },
		KindProcJoined:  func() sched.Message { return new(sched.ProcJoined) },
		KindProcLeft:    func() sched.Message { return new(sched.ProcLeft) },
		KindFromProc:    func() sched.Message { return new(sched.FromProc) },
		KindToProc:      func() sched.Message { return new(sched.ToProc) },
		KindHolds:       func() sched.Message { return new(sched.Holds) },
		KindDrops:       func() sched.Message { return new(sched.Drops) },
		KindNamedAs:     func() sched.Message { return new(sched.NamedAs) },
		KindFreeObjects: func() sched.Message { return new(sched.FreeObjects) },
		KindCopyObject:  func() sched.Message { return new(sched.CopyObject) },
		KindLeaving:     func() sched.Message { return new(sched.Leaving) },
		KindRollCall:    func() sched.Message { return new(sched.RollCall) },
		KindPresent:     func() sched.Message { return new(sched.Present) },
		KindGuardedBy:   func() sched.Message { return new(sched.GuardedBy) },
		KindGuard:       func() sched.Message { return new(sched.Guard) },
		KindGuarded:     func() sched.Message { return new(sched.Guarded) },
		KindSafe:        func() sched.Message { return new(sched.Safe) },
		KindTakeNow:     func() sched.Message { return new(sched.TakeNow) },
		KindJobTaken:    func() sched.Message { return new(sched.JobTaken) },
		KindRejoin:      func() sched.Message { return new(sched.Rejoin) },
	}
	if int(k) >= len(makers) || makers[k] == nil {
		return nil
	}
	return makers[k]()
}

// Encode calls each with the frames of a message, in order. What each is given is
// its own. ErrTooLarge says that a single task or result does not fit.
func Encode(m sched.Message, each func(frame []byte) error) error {
	k := kindOf(m)
	if k == 0 {
		return fmt.Errorf("encode %T: %w", m, ErrFrame)
	}
	b, err := frame(k, m)
	if err != nil {
		return err
	}
	if len(b) <= maxBatch {
		return each(b)
	}
	if left, right := halves(m); left != nil {
		if err := Encode(left, each); err != nil {
			return err
		}
		return Encode(right, each)
	}
	return cut(b, each)
}

// halves splits a batch in two; nil if the message is none, or has one element.
func halves(m sched.Message) (left, right sched.Message) {
	switch m := m.(type) {
	case *sched.Assign:
		if n := len(m.Tasks) / 2; n > 0 {
			return &sched.Assign{Class: m.Class, Tasks: m.Tasks[:n], More: true}, &sched.Assign{Class: m.Class, Tasks: m.Tasks[n:], More: m.More}
		}
	case *sched.Done:
		if n := len(m.Results) / 2; n > 0 { // how the owner stands is said last, when all results are told
			return &sched.Done{Results: m.Results[:n]}, &sched.Done{Results: m.Results[n:], Stands: m.Stands}
		}
	case *sched.Holds:
		if n := len(m.Objects) / 2; n > 0 {
			return &sched.Holds{Objects: m.Objects[:n]}, &sched.Holds{Objects: m.Objects[n:]}
		}
	case *sched.Drops:
		if n := len(m.Objects) / 2; n > 0 {
			return &sched.Drops{Objects: m.Objects[:n]}, &sched.Drops{Objects: m.Objects[n:]}
		}
	case *sched.FreeObjects:
		if n := len(m.Objects) / 2; n > 0 {
			return &sched.FreeObjects{Objects: m.Objects[:n]}, &sched.FreeObjects{Objects: m.Objects[n:]}
		}
	}
	return nil, nil
}

// Decode reads a core's message from a frame. It is nil, without an error, for a
// kind that is another's business or unknown.
func Decode(frame []byte) (sched.Message, error) {
	k, body, err := KindOf(frame)
	if err != nil {
		return nil, err
	}
	return decodeBody(k, body)
}

func decodeBody(k Kind, body []byte) (sched.Message, error) {
	if m := fastBody(k, body); m != nil {
		return m, nil
	}
	m := fresh(k)
	if m == nil {
		return nil, nil
	}
	if err := decode(body, m); err != nil {
		return nil, err
	}
	return m, check(m)
}

// check refuses what no core says.
func check(m sched.Message) error {
	given := 0
	count := func(set bool) {
		if set {
			given++
		}
	}
	switch m := m.(type) {
	case *sched.FromProc:
		for _, set := range []bool{
			m.Submit != nil, m.Put != nil, m.Want != nil, m.Borrow != nil, m.Release != nil, m.Cancel != nil,
			m.StreamOpen != nil, m.StreamTaken != nil, m.StreamClose != nil, m.Lost != nil,
		} {
			count(set)
		}
	case *sched.ToProc:
		count(m.Notify != nil)
		count(m.State != nil)
		count(m.Cancelled != nil)
	default:
		return nil
	}
	if given > 1 {
		return fmt.Errorf("%w: %T says %d things at once", ErrFrame, m, given)
	}
	return nil
}
