package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sched"
	"github.com/raygo/raygo/sdk/ipc"
)

// explain says why a task is where it is and what became of its attempts.
func (n *Node) explain(q *ipc.Query) (*ipc.Explanation, error) {
	rows, err := n.taskAttempts(q)
	if err != nil {
		return nil, err
	}
	x := &ipc.Explanation{Task: rows.Rows[len(rows.Rows)-1]}
	id, err := raygo.ParseTaskID(x.Task.TaskID)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	d, decided := n.core.Explain(id)
	alone := len(n.remotes) == 0
	n.mu.Unlock()
	if decided {
		x.Decisions = append(x.Decisions, n.decisionText(&d)...)
	}
	for i := range rows.Rows {
		x.Decisions = append(x.Decisions, n.attemptText(&rows.Rows[i], alone, decided))
	}
	return x, nil
}

// attemptText tells of one attempt. Where it ran is told by who ran it.
func (n *Node) attemptText(r *ipc.TaskRow, alone, decided bool) string {
	at := fmt.Sprintf("attempt %d", r.Attempt)
	switch {
	case r.State != raygo.Finished.String() && r.State != raygo.Failed.String():
		return fmt.Sprintf("%s is %s: %s", at, r.State, r.Reason)
	case r.PeerID != n.id:
		text := fmt.Sprintf("%s was given to peer %s and is %s", at, r.PeerID, r.State)
		if r.ErrorType != "" {
			text += fmt.Sprintf(" (%s: %s)", r.ErrorType, r.ErrorMessage)
		}
		return text
	case r.Started.IsZero():
		return fmt.Sprintf("%s never ran: %s %s", at, r.ErrorType, r.ErrorMessage)
	}
	why := "it is the only peer, and its resources (" + shapeText(r.Resources) + ") were free"
	switch {
	case decided:
		why = "see the decision"
	case !alone:
		why = "its resources (" + shapeText(r.Resources) + ") were free, and nothing spoke for another"
	}
	here := "this peer"
	if !alone {
		here = "peer " + n.id
	}
	text := fmt.Sprintf("%s was placed on %s %s after it was submitted: %s", at, here, r.Started.Sub(r.Created).Round(time.Microsecond), why)
	text += fmt.Sprintf("; it ran %s in worker %d and is %s", r.Ended.Sub(r.Started).Round(time.Microsecond), r.WorkerPID, r.State)
	if r.ErrorType != "" {
		text += fmt.Sprintf(" (%s: %s)", r.ErrorType, r.ErrorMessage)
	}
	return text
}

// decisionText tells who was asked for room, and what was made of the bids.
func (n *Node) decisionText(d *sched.Decision) []string {
	name := func(peer string) string {
		if peer == "" {
			peer = n.id
		}
		return "peer " + peer // who asks may be at another one
	}
	text := fmt.Sprintf("%d other peer(s) were asked for room; %s was chosen", d.Asked, name(d.Winner))
	if d.Took > 0 {
		text += fmt.Sprintf(" and took %s", d.Took.Round(time.Microsecond))
	}
	lines := []string{text}
	for i := range d.Bids {
		b := &d.Bids[i]
		terms := []string{fmt.Sprintf("run %s", b.Run.Round(time.Microsecond))}
		add := func(what string, t time.Duration) {
			if t > 0 {
				terms = append(terms, what+" "+t.Round(time.Microsecond).String())
			}
		}
		add("program", b.Program)
		add("worker start", b.Start)
		if b.Bytes > 0 {
			terms = append(terms, fmt.Sprintf("%d argument bytes to bring", b.Bytes))
		}
		add("bringing", b.Move)
		add("load", b.Load)
		if b.Correct != 1 && b.Correct != 0 {
			terms = append(terms, fmt.Sprintf("corrected by %.2f", b.Correct))
		}
		lines = append(lines, fmt.Sprintf("  %s: estimated %s with %d slot(s): %s", name(b.Peer), b.Total.Round(time.Microsecond), b.Slots, strings.Join(terms, ", ")))
	}
	return lines
}

func shapeText(m map[string]float64) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s=%v", k, m[k]))
	}
	return strings.Join(parts, ", ")
}
