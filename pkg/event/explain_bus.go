package event

// explainBus has the words for what is wrong with NATS; "" for any other code.
func explainBus(code string) (text, remedy string) {
	switch code {
	case AlertOutboxStalled:
		return "NATS has refused messages for two minutes or more. What they ask for, or tell, waits in Postgres.",
			"rollcall doctor says what is wrong: NATS away, its store full, or a limit on a stream. Services go on within 30 s once it is mended."
	case AlertMessageNotErased:
		return "An onboarding message could not be erased, because its stream denies deletions. A token in it stays readable in the stream's files.",
			"If the token was in the clear, have it replaced in VOMO. Deny-delete cannot be undone in a stream: stop the services, nats stream rm " +
				"ROLLCALL_ONBOARDING, rollcall migrate, start them."
	case AlertOnboardingLetter:
		return "An onboarding or offboarding message became a dead letter: what it asks for was not done.",
			"rollcall dlq ls <customer> shows its reason. Mend that and retry the letter, or publish the message anew and discard the letter: " +
				"rollcall dlq retry <customer>, rollcall dlq discard <customer>."
	}
	return "", ""
}
