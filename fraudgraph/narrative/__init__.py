"""Words that an investigator can trust: evidence pack, claims, verifier, phrases, language model."""
