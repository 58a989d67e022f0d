package event

// explainBus has the words for what is wrong with NATS, Postgres or the key service; "" for any other code.
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
	case AlertKeeperUnavailable:
		return "The key service (SECRETS_URL) does not answer, or refuses us, so no key can be opened; all work waits and tries again by itself.",
			"See that the key service runs and is unsealed, that it can be reached from here, and that VAULT_SERVER_TOKEN is valid (rollcall doctor). " +
				"Work goes on within 30 s."
	case AlertDatabaseUnavailable:
		return "Postgres does not answer, or takes no writes; all work waits and tries again by itself.",
			"See that Postgres runs, can be reached from here and takes writes (DATABASE_URL, rollcall doctor). Work goes on within 30 s; nothing is lost."
	}
	return "", ""
}
