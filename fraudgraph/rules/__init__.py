"""A shop's own rules: a declared file, checked, judged beside the models, and evidence like what they say."""
