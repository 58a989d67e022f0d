package mirror

import (
	"encoding/json"
	"fmt"

	"rollcall.dev/pkg/destination"
)

// sealAnswers seals what the destination said of the records that it did not take, for their letters. The words may quote
// the person, so a page whose words cannot be sealed is not committed.
func (l *Lane) sealAnswers(results []written) error {
	if l.SealAnswer == nil {
		return nil
	}
	for i := range results {
		said, ok := destination.AnswerOf(results[i].err)
		if !ok {
			continue
		}
		plain, err := json.Marshal(said)
		if err != nil {
			return fmt.Errorf("encode the destination's answer: %w", err)
		}
		if results[i].answer, err = l.SealAnswer(plain); err != nil {
			return fmt.Errorf("seal the destination's answer: %w", err)
		}
	}
	return nil
}
