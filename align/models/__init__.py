"""Loading vision-language models and their processors, and putting adapters on the right part."""
