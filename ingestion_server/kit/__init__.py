"""Pure helpers that more than one provider needs."""
