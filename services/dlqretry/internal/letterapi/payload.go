package letterapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/vault"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// payloadPiece keeps an answer below 256 KiB, though base64 makes it longer by a third.
const payloadPiece = 128 << 10

// payload answers rollcall.api.letters.payload with a message's bytes. What may be secret is hidden unless the operator asks
// for it. Each request is logged.
func (d *API) payload(ctx context.Context, question operatorapi.LetterPayloadQuestion) (operatorapi.LetterPayload, error) {
	id, err := uuid.Parse(question.ID)
	if err != nil || question.Offset < 0 {
		return operatorapi.LetterPayload{}, &service.BadRequestError{Text: "name the letter by its whole id, and the first byte"}
	}
	plain, err := d.open(ctx, id)
	if err != nil {
		return operatorapi.LetterPayload{}, err
	}
	reply := operatorapi.LetterPayload{Format: operatorapi.PayloadJSON}
	document := rollcallv1.TrimByteOrderMark(plain)
	switch {
	case !isDocument(document):
		if !question.Secrets {
			return operatorapi.LetterPayload{}, &service.ConflictError{Text: "the message is no JSON document" + whatBreaks(plain) +
				", so its secrets cannot be recognised: --secrets shows its bytes, in base64"}
		}
		reply.Format = operatorapi.PayloadBytes
	case question.Secrets:
		plain = document
	default:
		if plain, reply.Hidden, err = hideSecrets(document); err != nil {
			return operatorapi.LetterPayload{}, err
		}
	}
	service.Disclosed(ctx)
	if question.Offset == 0 {
		d.logger.Info("a message was shown to an operator", zap.Stringer("letter", id), zap.Bool("secrets", question.Secrets))
	}
	start := min(question.Offset, len(plain))
	end := min(start+payloadPiece, len(plain))
	reply.Data = plain[start:end]
	if end < len(plain) {
		reply.Next = &end
	}
	return reply, nil
}

// whatBreaks names the character, in brackets, that makes a message invalid JSON; "" for JSON that is no object or list.
func whatBreaks(message []byte) string {
	broken := rollcallv1.DescribeBrokenJSON(message)
	if broken == "" {
		return ""
	}
	return " (it " + broken + ")"
}

// destinationAnswer opens the destination's answer for a letter's record. It is nil if there is none, if the key was
// destroyed, or if the key service does not answer: the rest of the letter is shown all the same.
func (d *API) destinationAnswer(ctx context.Context, letter string) (*destination.Answer, error) {
	id, err := uuid.Parse(letter)
	if err != nil {
		return nil, fmt.Errorf("parse letter's id: %w", err)
	}
	customer, sealed, err := d.store.LetterAnswer(ctx, id)
	if err != nil || sealed == nil {
		return nil, err
	}
	plain, err := d.vault.Open(ctx, customer, deadletter.PurposeAnswer, sealed)
	if errors.Is(err, vault.ErrKeyGone) {
		return nil, nil //nolint:nilnil // it cannot be read any more
	}
	if errors.Is(err, vault.ErrUnavailable) {
		d.logger.Warn("letter shown without the destination's answer", zap.Stringer("letter", id), zap.Error(err))
		return nil, nil //nolint:nilnil // it can be read later
	}
	if err != nil {
		return nil, fmt.Errorf("open the destination's answer: %w", err)
	}
	service.Disclosed(ctx)
	var answer destination.Answer
	if err := json.Unmarshal(plain, &answer); err != nil {
		return nil, fmt.Errorf("read the destination's answer: %w", err)
	}
	return &answer, nil
}

// open opens the sealed bytes of a message letter.
func (d *API) open(ctx context.Context, id uuid.UUID) ([]byte, error) {
	customer, sealed, err := d.store.LetterPayload(ctx, id)
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		return nil, &service.ConflictError{Text: "this letter holds no message: a record letter names a user by its id and holds nothing else"}
	}
	var plain []byte
	if customer == rollcallv1.UnknownCustomer {
		plain, err = d.vault.OpenForInstallation(ctx, messageletter.PurposePayload, sealed)
	} else {
		plain, err = d.vault.Open(ctx, customer, messageletter.PurposePayload, sealed)
	}
	if errors.Is(err, vault.ErrKeyGone) {
		return nil, &service.ConflictError{Text: "the key that sealed this message was destroyed: it cannot be read any more"}
	}
	return plain, err
}
