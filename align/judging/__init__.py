"""Is a response a refusal, and is its reason sound?"""
