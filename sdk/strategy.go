package raygo

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	words "github.com/raygo/raygo"
)

// SchedulingStrategy says how a task's place is chosen.
type SchedulingStrategy struct {
	words words.Strategy
	set   bool
	err   error
}

// Strategy sets how the task's place is chosen.
func Strategy(st SchedulingStrategy) Option {
	return func(s *settings) error {
		if st.err != nil {
			return st.err
		}
		if !st.set {
			return errors.New("Strategy: unknown strategy: use Default, Spread, Pack, NodeAffinity or Labels")
		}
		s.words.Strategy = st.words
		return nil
	}
}

// Default places a task near its arguments, then where there is room.
func Default() SchedulingStrategy {
	return SchedulingStrategy{set: true, words: words.Strategy{Kind: words.StrategyDefault}}
}

// Spread places tasks on as many peers as there are.
func Spread() SchedulingStrategy {
	return SchedulingStrategy{set: true, words: words.Strategy{Kind: words.StrategySpread}}
}

// Pack places tasks on as few peers as will do.
func Pack() SchedulingStrategy {
	return SchedulingStrategy{set: true, words: words.Strategy{Kind: words.StrategyPack}}
}

// NodeAffinity places a task on the peer of that ID; soft lets it run elsewhere
// when the peer cannot.
func NodeAffinity(peerID string, soft bool) SchedulingStrategy {
	st := SchedulingStrategy{set: true, words: words.Strategy{Kind: words.StrategyAffinity, Peer: peerID, Soft: soft}}
	if peerID == "" {
		st.err = errors.New("NodeAffinity: the peer ID is empty")
	}
	return st
}

// Labels places a task on peers whose labels match: terms joined by commas, all
// of which must hold, of the forms key=value, key!=value, key in (a,b) and
// key !in (a,b).
func Labels(selector string) SchedulingStrategy {
	return SchedulingStrategy{
		set: true, words: words.Strategy{Kind: words.StrategyLabels, Selector: selector}, err: checkSelector(selector),
	}
}

// Fallback adds selectors to Labels, in order: the first one counts that some peer of
// the cluster meets, by its labels and all that it has, busy or not. Which one that
// is changes as peers come and go.
func (st SchedulingStrategy) Fallback(selectors ...string) SchedulingStrategy {
	if st.err == nil && st.words.Kind != words.StrategyLabels {
		st.err = errors.New("Fallback: only Labels can fall back on other selectors")
	}
	for _, s := range selectors {
		if st.err == nil {
			st.err = checkSelector(s)
		}
		st.words.Selector += ";" + s
	}
	return st
}

var selectorTerm = regexp.MustCompile(`^[\w./-]+\s*(=\s*[\w./:-]*|!=\s*[\w./:-]*|\s!?in\s*\(\s*[\w./:-]+(\s*,\s*[\w./:-]+)*\s*\))$`)

func checkSelector(selector string) error {
	if strings.TrimSpace(selector) == "" {
		return errors.New("Labels: the selector is empty")
	}
	depth, start := 0, 0
	for i, r := range selector + "," {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			if term := strings.TrimSpace(selector[start:i]); !selectorTerm.MatchString(term) {
				return fmt.Errorf("Labels: %q is no term: want key=value, key!=value, key in (a,b) or key !in (a,b)", term)
			}
			start = i + 1
		}
	}
	if depth != 0 {
		return fmt.Errorf("Labels: a bracket is not closed in %q", selector)
	}
	return nil
}
